"""Meta-sparsity as a whole: budgets, learning, determinism, every way to learn λ and every option."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from msbench.config import validated
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.sparsity.groups import Groups
from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.meta_sparsity import MetaSparsity
from tests.sparsifiers.helpers import logged
from tests.training.test_trainer import state_bytes

Make = Callable[..., Trainer]


WAYS: dict[str, dict[str, Any]] = {
    "saliency_share": {"learn": "saliency_share"},
    "direct": {"learn": "direct"},
    "hyper": {"learn": "hyper"},
    "too strong": {"learn": "none", "rho": 3.0},
    "stages": {"learn": "hyper", "lambda_per": "stage"},
    "adaptive": {"learn": "direct", "prox_metric": "adaptive"},
    "regrowth": {"learn": "direct", "lr_lambda": 5.0, "regrow_p": 0.2},
    "l1": {"learn": "none", "penalty": "l1"},
    "l1 adaptive": {"learn": "hyper", "penalty": "l1", "prox_metric": "adaptive"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_budget_is_met(make_trainer: Make, way: str) -> None:
    for target in (0.3, 0.5, 0.8):
        trainer = make_trainer(target=target, samples=160, width=8)
        MetaSparsity(**WAYS[way]).sparsify(trainer)
        trainer.finish()
        structured = WAYS[way].get("penalty") != "l1"
        assert abs(trainer.sparsity(structured) - target) <= trainer.budget.tolerance(structured), target
        assert trainer.allowance.spent == 160
        assert {"lambda", "sparsity"} <= {name for _, _, name, _ in trainer.history.rows}


@pytest.mark.parametrize("way", ["saliency_share", "direct"])
def test_a_budget_over_the_whole_model(make_trainer: Make, way: str) -> None:
    """Heads of tasks that an episode does not have are in the budget, but not in that episode's gradients."""
    trainer = make_trainer(target=0.5, samples=320, width=16)
    trainer.budget = replace(trainer.budget, scope="model", groups=Groups.of(trainer.model, "model"))
    MetaSparsity(**WAYS[way]).sparsify(trainer)
    trainer.finish()
    assert abs(trainer.sparsity() - 0.5) < 0.005
    assert trainer.mask is not None
    assert any(name.startswith("heads.") and not kept.all() for name, kept in trainer.mask.items())


@pytest.mark.parametrize("way", ["direct", "too strong", "l1"])
def test_it_learns(make_trainer: Make, way: str) -> None:
    """Also where λ has emptied the network: what comes back has its last living weights."""
    trainer = make_trainer(seed=2, target=0.5, samples=800, lr=1e-2)
    MetaSparsity(**WAYS[way]).sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.7
    assert trainer.natural is not None
    assert (trainer.natural > 0.95) == (way != "direct")


def test_l1_finds_single_zeros_of_its_own(make_trainer: Make) -> None:
    trainer = make_trainer(samples=800, lr=1e-2)
    MetaSparsity(learn="none", penalty="l1", rho=-1.0).sparsify(trainer)
    assert trainer.natural == pytest.approx(trainer.sparsity(structured=False))
    assert trainer.natural == pytest.approx(logged(trainer, "sparsity")[-1])
    assert 0.05 < trainer.natural < 0.95
    assert trainer.sparsity(structured=True) < trainer.natural - 0.04, "most zeros do not fill a group"


@pytest.mark.parametrize("way", ["hyper", "regrowth", "stages", "l1 adaptive"])
def test_same_seed_same_bytes(make_trainer: Make, way: str) -> None:
    found = []
    for seed in (1, 1, 2):
        trainer = make_trainer(seed=seed, target=0.5, samples=160)
        state = torch.random.get_rng_state()
        MetaSparsity(**WAYS[way]).sparsify(trainer)
        assert torch.equal(torch.random.get_rng_state(), state), "the global generator is off limits"
        found.append(state_bytes(trainer))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("order", ["maml", "anil", "reptile"])
def test_every_order_spends_the_allowance(make_trainer: Make, order: Any) -> None:
    for learn in ("direct", "saliency_share") if order == "reptile" else ("direct", "hyper", "saliency_share"):
        trainer = make_trainer(target=0.5, samples=160)
        MetaSparsity(learn=learn, order=order, episodes="pairs", inner_steps=3).sparsify(trainer)  # type: ignore[arg-type]
        assert trainer.allowance.spent == 160
        assert logged(trainer, "episodes/2_tasks")[-1] == 2.0
        assert abs(trainer.sparsity() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learn": "direct", "phi": 0.1}, "phi=0.1: acts only with learn=saliency_share, not direct"),
        ({"penalty": "l1"}, "penalty=l1: acts only with learn=direct or hyper or none, not saliency_share"),
        ({"learn": "none", "lr_lambda": 5}, "lr_lambda=5.*: acts only with learn=direct or hyper, not none"),
        ({"learn": "none", "lambda_per": "stage"}, "lambda_per=stage: acts only with learn=direct or hyper"),
        ({"regrow_p": 0.2}, "regrow_p=0.2: acts only with"),
        ({"learn": "hyper", "order": "reptile"}, "order=reptile: has no query gradient"),
        ({"learn": "direct", "episodes": "all", "meta_batch": 3}, "meta_batch=3: episodes='all' draws none"),
    ],
)
def test_options_that_would_do_nothing_are_refused(plugins: Plugins, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaSparsity(**params)
    with pytest.raises(UserError, match=message):
        validated(plugins.get("sparsifier", "meta_sparsity"), params, "sparsifier")


def test_the_variants_are_valid_and_say_what_they_are() -> None:
    notes = {name: MetaSparsity(**params).notes() for name, params in MetaSparsity.variants.items()}
    assert set(notes) == {"meta_sparsity", "meta_sparsity_direct", "meta_sparsity_hyper"}
    assert any("not steered" in note for note in notes["meta_sparsity_hyper"])
    adaptive = MetaSparsity(learn="direct", prox_metric="adaptive", lambda_per="stage", order="anil").notes()
    assert sum("Adam's metric" in note or "by stage" in note or "ANIL" in note for note in adaptive) == 3


def test_a_lambda_that_is_not_learned_stays(make_trainer: Make) -> None:
    trainer = make_trainer(samples=320)
    MetaSparsity(learn="none", rho=-1.0).sparsify(trainer)
    assert logged(trainer, "lambda") == [pytest.approx(math.log1p(math.exp(-1)))] * 10
    assert not logged(trainer, "lambda_gradient")
    assert len(logged(trainer, "penalty")) == 10


def test_regrowth_lasts(make_trainer: Make) -> None:
    """It is in the meta-weights: with it less is dead in the end."""
    found = {}
    for p in (0.0, 0.5, 1.0):
        trainer = make_trainer(samples=480, lr=1e-2)
        MetaSparsity(learn="none", rho=2.0, regrow_p=p, meta_share=0.9).sparsify(trainer)
        found[p] = trainer.sparsity()
    assert found[0.0] > 0.2
    assert 0.1 > found[0.5] >= found[1.0] == 0
