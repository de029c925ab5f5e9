"""Budget selection meets its target exactly as far as granularity allows, whatever the scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msbench.sparsity.budget import Budget
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask


def budget_over(*layers: tuple[int, int], target: float | None = 0.5) -> Budget:
    groups = Groups(tuple(GroupLayer(f"layer{i}", count, size) for i, (count, size) in enumerate(layers)))
    return Budget("share", "backbone", groups, target)


def scores_of(budget: Budget, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {layer.name: torch.rand(layer.count, generator=generator) for layer in budget.groups.layers}


def test_lowest_scores_go_first() -> None:
    budget = budget_over((4, 10), target=0.5)
    mask = budget.select({"layer0": torch.tensor([0.3, 0.9, 0.1, 0.5])})
    assert mask["layer0"].tolist() == [False, True, False, True]


def test_smaller_groups_fill_what_a_larger_one_cannot() -> None:
    # 100 weights; target 30: the 60-weight group does not fit, so the next-lowest small ones are taken instead
    budget = budget_over((2, 40), (2, 10), target=0.10)
    mask = budget.select({"layer0": torch.tensor([0.0, 1.0]), "layer1": torch.tensor([0.5, 0.6])})
    assert mask["layer0"].tolist() == [True, True]
    assert mask["layer1"].tolist() == [False, True]


def test_ties_go_by_layer_and_index() -> None:
    budget = budget_over((2, 10), (2, 10), target=0.25)
    mask = budget.select({"layer0": torch.ones(2), "layer1": torch.ones(2)})
    # the floor keeps the first of each layer; the first group that may go is layer0's second
    assert mask["layer0"].tolist() == [True, False]
    assert mask["layer1"].tolist() == [True, True]


@given(
    layers=st.lists(st.tuples(st.integers(2, 12), st.integers(1, 50)), min_size=1, max_size=5),
    target=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
def test_no_single_change_comes_nearer_to_the_target(layers: list[tuple[int, int]], target: float, seed: int) -> None:
    budget = budget_over(*layers, target=target)
    scores = scores_of(budget, seed)
    mask = budget.select(scores)
    capacity = round(target * budget.groups.weights)
    missing = capacity - round(budget.sparsity(mask) * budget.groups.weights)
    droppable = {}
    for layer in budget.groups.layers:
        assert mask[layer.name][scores[layer.name].argmax()], "the best group of a layer stays"
        droppable[layer.name] = int(mask[layer.name].sum()) - 1
    for layer in budget.groups.layers:
        if droppable[layer.name] > 0:
            assert abs(missing - layer.size) >= abs(missing), "removing one more group would come nearer"


@given(target=st.floats(0.1, 0.9), seed=st.integers(0, 300))
def test_the_end_is_at_most_half_the_smallest_group_away(target: float, seed: int) -> None:
    budget = budget_over((30, 10), (30, 11), (30, 12), target=target)
    mask = budget.select(scores_of(budget, seed))
    assert abs(budget.sparsity(mask) - target) * budget.groups.weights <= 5 + 0.5


def test_an_exchange_gives_back_the_best_and_takes_the_worst() -> None:
    # 82 weights, 24 to remove: greedy takes 10 + 10 and 4 are missing; one 10 goes back for a 14
    budget = budget_over((4, 10), (3, 14), target=24 / 82)
    mask = budget.select({"layer0": torch.tensor([0.1, 0.2, 9.0, 8.0]), "layer1": torch.tensor([5.0, 4.0, 6.0])})
    assert mask["layer0"].tolist() == [False, True, True, True]
    assert mask["layer1"].tolist() == [True, False, True]


@given(seed=st.integers(0, 1000), target=st.floats(0.1, 0.9))
def test_unstructured_selection_is_exact_to_one_weight(seed: int, target: float) -> None:
    budget = budget_over((6, 9), (4, 12), target=target)
    generator = torch.Generator().manual_seed(seed)
    shapes = {"layer0": (9, 6), "layer1": (12, 4)}
    mask = budget.select({name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}, floor=0)
    assert abs(budget.sparsity(mask) - target) <= 0.5 / budget.groups.weights + 1e-12


def test_selection_does_not_depend_on_the_scale_of_scores() -> None:
    budget = budget_over((8, 3), (5, 7), target=0.6)
    scores = scores_of(budget, 0)
    scaled = {name: 1e-20 * value.double() for name, value in scores.items()}
    assert budget.select(scores).digest() == budget.select(scaled).digest()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "no scores for layer 'layer0'"),
        ({"layer0": torch.rand(3)}, "expected 4, got 3"),
        ({"layer0": torch.tensor([0.0, float("nan"), 0.0, 0.0])}, "not a number"),
    ],
)
def test_bad_scores_are_named(scores: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        budget_over((4, 10)).select(scores)


def test_mask_survives_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    mask = Mask({"a": torch.tensor([True, False]), "b": torch.rand(2, 3) > 0.5})
    mask.save(tmp_path / "mask.safetensors")
    again = Mask.load(tmp_path / "mask.safetensors")
    assert again.digest() == mask.digest()
    assert not again.structured
