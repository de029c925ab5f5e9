"""What holds for every criterion: budgets, determinism, no trace left behind, and the names that users type."""

from __future__ import annotations

import pytest
import torch

from msbench.api import Mask, Trainer, UserError
from msbench.plugins import Plugins
from msbench.selection import build_criterion
from msbench_plugins.criteria import msbench_criteria
from msbench_plugins.sparsifiers.one_shot import OneShot
from tests.criteria.isolated import Make

ALL = [
    *("magnitude", "magnitude[norm=1]", "random", "lamp", "fpgm", "bn_scale", "gradient", "taylor", "obd_hessian"),
    *("obd_c", "obd_c[fisher=kronecker]", "hrank", "thinet", "channel_pruning", "mask:saved"),
]
ELEMENTS = {"magnitude", "random", "lamp", "gradient", "taylor", "obd_hessian", "obd_c", "mask:saved"}
DATA_FREE = {"magnitude", "magnitude[norm=1]", "random", "lamp", "fpgm", "bn_scale", "mask:saved"}
PASSES = {"obd_hessian": 2}
"""Times that a batch counts, where that is not once."""


def with_saved_mask(trainer: Trainer) -> Trainer:
    generator = torch.Generator().manual_seed(7)
    mask = Mask({layer.name: torch.rand(layer.count, generator=generator) > 0.4 for layer in trainer.groups.layers})
    trainer.saved_mask = {"saved": mask}.__getitem__
    return trainer


def state(trainer: Trainer) -> list[torch.Tensor]:
    return [value.clone() for value in trainer.model.state_dict().values()]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_criterion_is_listed_here_and_says_what_it_is(plugins: Plugins) -> None:
    names = [cls.name for cls in msbench_criteria()]
    assert len(names) == len(set(names)) == 13
    assert {text.partition("[")[0].partition(":")[0] for text in ALL} == set(names)
    for cls in msbench_criteria():
        assert plugins.get("criterion", cls.name).cls is cls
        assert cls.__doc__
        assert cls.paper or cls.name in ("random", "mask")


@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("criterion", ALL)
def test_one_shot_meets_its_budget(make_trainer: Make, criterion: str, target: float) -> None:
    trainer = with_saved_mask(make_trainer(target=target, samples=64, evaluations=1))
    OneShot(criterion=criterion).sparsify(trainer)
    granularity = max(layer.size for layer in trainer.groups.layers) / trainer.groups.weights
    assert abs(trainer.sparsity() - target) <= max(0.005, granularity / 2)
    assert trainer.mask is not None
    assert trainer.mask.structured
    assert trainer.allowance.left < trainer.settings.batch


@pytest.mark.parametrize("criterion", ALL)
def test_unstructured_selection_meets_its_budget_or_is_refused(make_trainer: Make, criterion: str) -> None:
    trainer = with_saved_mask(make_trainer(target=0.7, samples=64, evaluations=1))
    trainer.train(steps=3)
    if criterion not in ELEMENTS | {"magnitude[norm=1]"}:
        with pytest.raises(UserError, match="ranks whole groups only"):
            trainer.rank(criterion, structured=False)
        return
    scores = trainer.rank(criterion, structured=False)
    assert {name: score.shape for name, score in scores.items()} == {n: w.shape for n, w in trainer.weights.items()}
    trainer.apply_mask(trainer.budget.select(scores))
    trainer.train()
    assert abs(trainer.sparsity(structured=False) - 0.7) <= 0.001


@pytest.mark.parametrize("criterion", ALL)
def test_scores_are_finite_repeat_with_the_seed_and_leave_no_trace(make_trainer: Make, criterion: str) -> None:
    found = []
    for _ in range(2):
        trainer = with_saved_mask(make_trainer(seed=3))
        trainer.train(steps=2)
        for parameter in trainer.model.parameters():
            parameter.grad = None
        before, spent, random = state(trainer), trainer.allowance.spent, torch.random.get_rng_state()
        modes = [module.training for module in trainer.model.modules()]
        found.append(trainer.rank(criterion))
        assert all(torch.equal(a, b) for a, b in zip(before, state(trainer), strict=True))
        assert modes == [module.training for module in trainer.model.modules()]
        assert torch.equal(random, torch.random.get_rng_state())
        assert all(parameter.grad is None for parameter in trainer.model.parameters())
        assert not any(m._forward_pre_hooks or m._forward_hooks for m in trainer.model.modules())
        expected = 0 if criterion in DATA_FREE else trainer.settings.batch * PASSES.get(criterion, 1)
        assert trainer.allowance.spent - spent == expected
    for layer in trainer.groups.layers:
        score = found[0][layer.name]
        assert score.shape == (layer.count,)
        assert score.isfinite().all()
        assert not score.requires_grad
    assert equal(*found)


@pytest.mark.parametrize("criterion", [text for text in ALL if text not in ("random", "mask:saved")])
def test_what_is_zero_already_ranks_last_in_its_layer(make_trainer: Make, criterion: str) -> None:
    """So that pruning in several rounds never brings back what an earlier one removed."""
    trainer = make_trainer(width=6)
    trainer.train(steps=4)
    mask = Mask({layer.name: torch.arange(layer.count) % 3 != 1 for layer in trainer.groups.layers})
    trainer.apply_mask(mask)
    for name, score in trainer.rank(criterion).items():
        assert score[~mask[name]].max() <= score[mask[name]].min(), name


@pytest.mark.parametrize("criterion", [text for text in ALL if "[" not in text and text != "mask:saved"])
def test_one_shot_learns_with_it(make_trainer: Make, criterion: str) -> None:
    trainer = make_trainer(target=0.5, samples=640, evaluations=1, lr=1e-2)
    OneShot(criterion=criterion).sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.8


def test_a_saved_mask_comes_back_whole(make_trainer: Make) -> None:
    first = make_trainer(target=0.6)
    OneShot().sparsify(first)
    assert first.mask is not None
    second = make_trainer(seed=1, target=first.budget.sparsity(first.mask))
    second.saved_mask = {"run": first.mask}.__getitem__
    OneShot(criterion="mask:run").sparsify(second)
    assert second.mask is not None
    assert second.mask.digest() == first.mask.digest()

    chosen = first.budget.select(first.rank("magnitude", structured=False))
    third = make_trainer(target=first.budget.sparsity(chosen))
    third.saved_mask = {"run": chosen}.__getitem__
    assert third.budget.select(third.rank("mask:run", structured=False)).digest() == chosen.digest()


def test_a_saved_mask_keeps_layers_that_it_does_not_name(make_trainer: Make) -> None:
    trainer = make_trainer()
    named, silent = (layer.name for layer in trainer.groups.layers[1:3])
    trainer.saved_mask = {"run": Mask({named: torch.tensor([True, False, True, False])})}.__getitem__
    for structured in (True, False):
        scores = trainer.rank("mask:run", structured=structured)
        assert set(scores) == set(trainer.weights)
        assert (scores[silent] == 1).all()
        assert scores[named].mean() == 0.5


def test_parameters_are_checked(plugins: Plugins) -> None:
    assert build_criterion(plugins, "magnitude[norm=1]").norm == 1  # type: ignore[attr-defined]
    for text in ("magnitude[norm=3]", "taylor[batches=0]", "obd_c[fisher=full]", "hrank[images=0]", "thinet[values=0]"):
        with pytest.raises(UserError):
            build_criterion(plugins, text)
