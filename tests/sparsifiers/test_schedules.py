"""The four pruning schedules: how sparsity rises, that nothing comes back, and what each starts from."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msbench.api import Budget, GroupLayer, Groups, Mask, Trainer, UserError
from msbench_plugins.sparsifiers.iterative import Iterative, round_sparsity
from msbench_plugins.sparsifiers.one_shot import OneShot
from msbench_plugins.sparsifiers.progressive import Progressive, cubic
from msbench_plugins.sparsifiers.pruning import Pruning, remove
from msbench_plugins.sparsifiers.sparse_training import SparseTraining
from tests.sparsifiers.helpers import found_mask, granularity, masks_with_samples

Make = Callable[..., Trainer]


# -- schedules against hand-computed numbers --------------------------------------------------------------------------


def test_cubic_by_hand() -> None:
    # 1 - (3/4)^3 = 37/64, 1 - (1/2)^3 = 7/8
    assert [cubic(t, 0.8) for t in (0, 0.25, 0.5, 1)] == pytest.approx([0, 0.4625, 0.7, 0.8])
    assert [cubic(t, 0.8, 0.2) for t in (0, 0.5, 1)] == pytest.approx([0.2, 0.725, 0.8])


def test_rounds_by_hand() -> None:
    # three quarters in two rounds: each halves what is left
    assert [round_sparsity(k, 2, 0.75) for k in (1, 2)] == pytest.approx([0.5, 0.75])
    # 0.9 = 1 - 0.1: each of three rounds keeps the cube root of a tenth
    kept = 0.1 ** (1 / 3)
    assert [round_sparsity(k, 3, 0.9) for k in (1, 2, 3)] == pytest.approx([1 - kept, 1 - kept**2, 0.9])


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_the_last_round_is_the_target_to_the_last_bit(rounds: int, target: float) -> None:
    """Less by rounding alone would not be known as the last, and stop short of the target."""
    assert round_sparsity(rounds, rounds, target) == target


def test_a_target_that_rounding_would_lower_is_met(make_trainer: Make) -> None:
    target = 0.48921127536498027
    assert 1 - (1 - target) < target, "a target of this kind"
    trainer = make_trainer(target=target)
    Iterative().sparsify(trainer)
    assert abs(trainer.sparsity() - target) <= granularity(trainer)


def test_progressive_follows_the_cubic_at_the_right_steps(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(samples=320, target=0.8)  # 40 steps: 8 before the rise, 4 updates in the next 16
    progressive = Progressive(start_share=0.2, stop_share=0.6, every=4, structured=False)
    seen = masks_with_samples(progressive, trainer, monkeypatch)
    assert [spent // 8 for spent, _ in seen] == [12, 16, 20, 24, 24]
    expected = [0.4625, 0.7, 0.7875, 0.8, 0.8]
    assert [trainer.budget.sparsity(mask) for _, mask in seen] == pytest.approx(expected, abs=2e-4)


def test_progressive_from_dense_weights_starts_after_the_dense_stage(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(samples=160, target=0.5)
    progressive = Progressive(init="dense", dense_share=0.5, start_share=0.2, stop_share=0.6, every=2)
    seen = masks_with_samples(progressive, trainer, monkeypatch)
    # 10 dense steps, 20% of the other 10 before the rise, 40% for it
    assert [spent // 8 for spent, _ in seen] == [14, 16, 16]


def test_a_rise_shorter_than_its_interval_prunes_once_at_its_end(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(samples=160, target=0.5)
    seen = masks_with_samples(Progressive(every=1000), trainer, monkeypatch)
    assert [spent // 8 for spent, _ in seen] == [12]
    assert trainer.sparsity() == pytest.approx(0.5, abs=granularity(trainer))


def test_iterative_rounds_are_equal_and_between_them_it_trains(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(samples=160, target=0.75)
    seen = masks_with_samples(Iterative(rounds=2, dense_share=0.4, structured=False), trainer, monkeypatch)
    assert [spent // 8 for spent, _ in seen] == [8, 14]
    assert trainer.allowance.left == 0
    assert [trainer.budget.sparsity(mask) for _, mask in seen] == pytest.approx([0.5, 0.75], abs=2e-4)


def test_the_stages_must_be_in_order() -> None:
    with pytest.raises(UserError, match="start_share=0.5 must be below stop_share=0.4"):
        Progressive(start_share=0.5, stop_share=0.4)


# -- what is removed stays removed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["magnitude", "random", "mask:found"])
@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("schedule", [Iterative, Progressive])
def test_masks_are_nested(
    make_trainer: Make,
    monkeypatch: pytest.MonkeyPatch,
    schedule: type[Iterative] | type[Progressive],
    structured: bool,
    criterion: str,
) -> None:
    trainer = make_trainer(samples=112, target=0.6, lr=3e-2, evaluations=1)
    trainer.saved_mask = {"found": found_mask(trainer)}.__getitem__
    sparsifier = schedule(criterion=criterion, structured=structured)
    if isinstance(sparsifier, Progressive):
        sparsifier.every = 1
    masks = [mask for _, mask in masks_with_samples(sparsifier, trainer, monkeypatch)]
    sparsities = [trainer.budget.sparsity(mask) for mask in masks]
    assert len(set(sparsities)) >= 4
    assert sparsities == sorted(sparsities)
    for earlier, later in pairwise(masks):
        for name in earlier:
            assert not (later[name] & ~earlier[name]).any(), f"something of {name} came back"


@pytest.mark.parametrize("schedule", [Iterative, Progressive])
def test_a_random_ranking_is_made_once(make_trainer: Make, schedule: type[Iterative] | type[Progressive]) -> None:
    at_once, in_steps = make_trainer(target=0.5), make_trainer(target=0.5)
    SparseTraining(criterion="random", structured=False).sparsify(at_once)
    schedule(criterion="random", structured=False, init="random").sparsify(in_steps)
    assert at_once.mask is not None
    assert in_steps.mask is not None
    assert at_once.mask.digest() == in_steps.mask.digest()


def test_magnitude_ranks_afresh(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    pruning = Pruning(trainer, "magnitude", structured=False)
    pruning.reach(0.2)
    first = dict(pruning.kept)
    with torch.no_grad():  # what was large is now small
        for name, weight in trainer.weights.items():
            weight.copy_(torch.where(first[name], 1 / weight, weight))
    order = torch.cat([weight.detach().abs()[first[name]] for name, weight in trainer.weights.items()])
    pruning.reach(0.5)
    gone = torch.cat([(~pruning.kept[name])[first[name]] for name in first])
    assert torch.equal(gone, order <= order.kthvalue(int(gone.sum())).values)


layers_of_a_network = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=4)


@given(layers_of_a_network, st.integers(0, 10**6), st.floats(0, 1))
def test_remove_takes_only_what_it_may(shapes: list[tuple[int, int]], seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers = tuple(GroupLayer(f"layer{i}", count, size) for i, (count, size) in enumerate(shapes))
    budget = Budget("share", "backbone", Groups(layers), 0.5)
    scores = {layer.name: torch.rand(layer.count, generator=generator) for layer in layers}
    among = Mask({layer.name: torch.rand(layer.count, generator=generator) < 0.7 for layer in layers})
    sizes = {layer.name: layer.size for layer in layers}
    asked = round(share * sum(int(among[n].sum()) * sizes[n] for n in among))
    stays = remove(budget, scores, among, asked, may_empty={"layer0"})
    gone = {name: among[name] & ~stays[name] for name in among}
    for name in among:
        assert not (stays[name] & ~among[name]).any()
        if name != "layer0" and among[name].any():
            best = int(scores[name].where(among[name], torch.tensor(-1.0)).argmax())
            assert stays[name][best], "the best of a layer is safe"
        if gone[name].any() and stays[name].any() and name == "layer0":
            assert scores[name][gone[name]].max() <= scores[name][stays[name]].min(), "lowest first within a layer"
    removed = sum(int(gone[n].sum()) * sizes[n] for n in among)
    assert removed <= asked + max(sizes.values()) / 2


@given(layers_of_a_network, st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_removing_from_everything_is_the_budgets_own_selection(
    shapes: list[tuple[int, int]], seed: int, target: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers = tuple(GroupLayer(f"layer{i}", count, size) for i, (count, size) in enumerate(shapes))
    budget = Budget("share", "backbone", Groups(layers), target)
    scores = {layer.name: torch.rand(layer.count, generator=generator) for layer in layers}
    everything = Mask({name: torch.ones_like(score) for name, score in scores.items()})
    found = remove(budget, scores, everything, round(target * budget.groups.weights))
    assert found.digest() == budget.select(scores).digest()


def test_removal_after_removal_would_not_be_nested_by_plain_selection() -> None:
    """The budget's selection may exchange: that is why removal chooses among what is left only."""
    layers = (GroupLayer("small", 2, 2), GroupLayer("large", 3, 3))
    budget = Budget("share", "backbone", Groups(layers), 0.5)
    scores = {"small": torch.tensor([0.0, 9.0]), "large": torch.tensor([1.0, 2.0, 9.0])}
    first = budget.select(scores, 2 / 13)
    assert first["small"].tolist() == [False, True]
    lowest = {"small": torch.tensor([-torch.inf, 9.0]), "large": scores["large"]}
    assert budget.select(lowest, 6 / 13)["small"][0], "six weights: both large ones, and the small one is given back"
    nested = remove(budget, scores, first, 4)
    assert nested["small"].tolist() == [False, True]
    assert nested["large"].tolist() == [False, True, True]


# -- what is removed --------------------------------------------------------------------------------------------------


def test_single_weights_by_magnitude_are_the_smallest_of_all(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.7)
    weights = {name: weight.detach().abs().clone() for name, weight in trainer.weights.items()}
    count = round(0.7 * sum(w.numel() for w in weights.values()))
    threshold = torch.cat([w.flatten() for w in weights.values()]).kthvalue(count).values
    SparseTraining(criterion="magnitude", structured=False).sparsify(trainer)
    assert trainer.mask is not None
    for name, weight in weights.items():
        assert torch.equal(trainer.mask[name], weight > threshold)


def test_groups_by_magnitude_are_the_smallest_of_their_size(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.4)
    rms = {name: w.detach().pow(2).mean((0, *range(2, w.ndim))).sqrt() for name, w in trainer.weights.items()}
    SparseTraining(criterion="magnitude").sparsify(trainer)
    assert trainer.mask is not None
    sizes = {layer.name: layer.size for layer in trainer.groups.layers}
    for size in set(sizes.values()):
        names = [name for name in sizes if sizes[name] == size]
        # the best of a layer is never removed, so it says nothing about the order
        best = {name: torch.arange(len(rms[name])) == rms[name].argmax() for name in names}
        kept = torch.cat([rms[name][trainer.mask[name] & ~best[name]] for name in names])
        gone = torch.cat([rms[name][~trainer.mask[name]] for name in names])
        if len(kept) and len(gone):
            assert gone.max() <= kept.min()


@pytest.mark.parametrize("sparsifier", [OneShot, Iterative, Progressive, SparseTraining])
def test_a_saved_mask_is_reached_to_the_letter_with_its_empty_layer(
    make_trainer: Make, sparsifier: type[OneShot | Iterative | Progressive | SparseTraining]
) -> None:
    wanted = found_mask(make_trainer())
    target = make_trainer().budget.sparsity(wanted)
    trainer = make_trainer(samples=80, target=target)
    progress = {"every": 1} if sparsifier is Progressive else {}
    trainer.saved_mask = {"found": wanted}.__getitem__
    sparsifier(criterion="mask:found", **progress).sparsify(trainer)  # type: ignore[arg-type]
    assert trainer.mask is not None
    assert trainer.mask.digest() == wanted.digest()


def test_on_the_way_to_a_saved_mask_the_smallest_goes_first(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.3)
    wanted = found_mask(trainer)
    trainer.saved_mask = {"found": wanted}.__getitem__
    weights = {name: w.detach().abs().clone() for name, w in trainer.weights.items()}
    Pruning(trainer, "mask:found", structured=False).reach(0.1)
    assert trainer.mask is not None
    falls = {name: ~wanted.expanded(name, w).expand_as(w) for name, w in weights.items()}
    gone = torch.cat([weights[name][~trainer.mask[name]] for name in weights])
    waits = torch.cat([weights[name][falls[name] & trainer.mask[name]] for name in weights])
    assert not any((~trainer.mask[name] & ~falls[name]).any() for name in weights)
    assert gone.max() <= waits.min()


def test_a_budget_beyond_a_saved_mask_empties_no_other_layer(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.95)
    wanted = found_mask(trainer)
    trainer.saved_mask = {"found": wanted}.__getitem__
    SparseTraining(criterion="mask:found").sparsify(trainer)
    assert trainer.mask is not None
    emptied = [name for name, kept in trainer.mask.items() if not kept.any()]
    assert emptied == [trainer.groups.layers[2].name]
