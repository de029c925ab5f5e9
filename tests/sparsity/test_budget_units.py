"""Budgets by multiply-adds and by a latency table meet their targets like those by weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msbench.errors import UserError
from msbench.measure.flops import layer_multiply_adds
from msbench.sparsity.accounting import account
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Costs
from msbench.sparsity.filling import TableFilling, fill
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask
from tests.measure.test_flops import IMAGE, network

LAYERS = st.lists(st.tuples(st.integers(2, 9), st.integers(1, 30)), min_size=1, max_size=5)


def groups_of(layers: list[tuple[int, int]]) -> Groups:
    return Groups(tuple(GroupLayer(f"layer{i}", count, size) for i, (count, size) in enumerate(layers)))


def latency(groups: Groups, seed: int) -> Costs:
    """Random savings: what an input channel saves depends on how many are left."""
    generator = np.random.default_rng(seed)
    costs = {}
    for layer in groups.layers:
        savings = generator.integers(0, 60, size=layer.count)
        costs[layer.name] = np.concatenate([[0], np.cumsum(savings) + 1]).astype(np.int64)
    return Costs("latency", costs, "table")


def scores_of(groups: Groups, seed: int, weights: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {x.name: (x.size, x.count) if weights else (x.count,) for x in groups.layers}
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def test_multiply_adds_of_a_mask_by_hand() -> None:
    # on 8x8, one image: a costs 8*8*4*9 = 2304 an input channel, b at stride 2 4*4*6*9 = 864
    model = network()
    groups = Groups.of(model)
    costs = Costs.of_multiply_adds(groups, layer_multiply_adds(model, IMAGE[:1]))
    mask = Mask({"backbone.0": torch.tensor([1, 0, 1]), "backbone.3": torch.tensor([0, 0, 1, 1])})

    assert costs.total == 3 * 2304 + 4 * 864
    assert Budget("share", "backbone", groups, 0.5, costs).cost(mask) == 2 * 2304 + 2 * 864
    found = account(model, mask, groups, [costs, Costs.of_weights(groups)]).by_unit
    assert found["macs"] == pytest.approx(1 - (2 * 2304 + 2 * 864) / (3 * 2304 + 4 * 864))
    assert found["params"] == pytest.approx(1 - (2 * 36 + 2 * 54) / (3 * 36 + 4 * 54))


def test_a_single_weight_costs_the_places_where_it_is_used() -> None:
    model = network()
    groups = Groups.of(model)
    costs = Costs.of_multiply_adds(groups, layer_multiply_adds(model, IMAGE[:1]))
    kept = torch.ones(6, 4, 3, 3, dtype=torch.bool)
    kept.view(-1)[:5] = False

    assert costs.total - costs.of_mask(groups, Mask({"backbone.3": kept})) == 5 * 16


def test_multiply_adds_prefer_the_layer_with_the_larger_map_for_the_same_scores() -> None:
    # 100 weights in both layers, but the first is used at four times as many places
    groups = groups_of([(10, 10), (10, 10)])
    costs = Costs.of_multiply_adds(groups, {"layer0": 400, "layer1": 100})
    budget = Budget("share", "backbone", groups, 0.4, costs)

    mask = budget.select({"layer0": torch.arange(10.0), "layer1": torch.arange(10.0, 20.0)})

    assert int(mask["layer0"].sum()) == 5
    assert budget.sparsity(mask) == pytest.approx(0.4)


@settings(max_examples=60)
@given(
    layers=LAYERS, target=st.floats(0.05, 0.95), seed=st.integers(0, 1000), unit=st.sampled_from(["macs", "latency"])
)
def test_no_further_removal_comes_nearer_in_any_unit(
    layers: list[tuple[int, int]], target: float, seed: int, unit: str
) -> None:
    groups = groups_of(layers)
    places = np.random.default_rng(seed).integers(1, 9, size=len(layers))
    adds = {x.name: int(places[i]) * x.weights for i, x in enumerate(groups.layers)}
    costs = latency(groups, seed) if unit == "latency" else Costs.of_multiply_adds(groups, adds)
    budget, scores = Budget("share", "backbone", groups, target, costs), scores_of(groups, seed)

    mask = budget.select(scores)

    missing = round(target * budget.total) - (budget.total - budget.cost(mask))
    for layer in groups.layers:
        kept = int(mask[layer.name].sum())
        assert mask[layer.name][scores[layer.name].argmax()]
        if kept > 1:
            saving = int(costs.layers[layer.name][kept] - costs.layers[layer.name][kept - 1])
            assert abs(missing - saving) >= abs(missing)


@settings(max_examples=40)
@given(target=st.floats(0.1, 0.8), seed=st.integers(0, 300))
def test_a_table_of_many_small_savings_is_met_within_the_tolerance(target: float, seed: int) -> None:
    groups = groups_of([(32, 9), (48, 9), (64, 9)])
    budget = Budget("share", "backbone", groups, target, latency(groups, seed))

    mask = budget.select(scores_of(groups, seed))

    assert abs(budget.sparsity(mask) - target) <= budget.tolerance(structured=True)


@given(seed=st.integers(0, 300), target=st.floats(0.1, 0.9))
def test_single_weights_meet_a_target_of_multiply_adds(seed: int, target: float) -> None:
    groups = groups_of([(6, 9), (4, 12)])
    costs = Costs.of_multiply_adds(groups, {"layer0": 54 * 16, "layer1": 48 * 4})
    budget = Budget("share", "backbone", groups, target, costs)

    mask = budget.select(scores_of(groups, seed, weights=True), floor=0)

    assert abs(budget.sparsity(mask) - target) * budget.total <= 8


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=30), capacity=st.integers(0, 100))
def test_filling_takes_whatever_still_fits_in_order(sizes: list[int], capacity: int) -> None:
    room, expected = capacity, []
    for size in sizes:
        expected.append(size <= room)
        room -= size if size <= room else 0

    assert fill(np.array(sizes), capacity).tolist() == expected


@given(
    owner=st.lists(st.integers(0, 2), min_size=1, max_size=20),
    step=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    capacity=st.integers(0, 100),
)
def test_a_table_of_straight_lines_is_cut_like_sizes(owner: list[int], step: list[int], capacity: int) -> None:
    costs = [np.arange(owner.count(i) + 1) * step[i] for i in range(3)]
    sizes = np.array([step[i] for i in owner])

    assert (TableFilling(np.array(owner), costs, capacity).cut() == (np.cumsum(sizes) <= capacity)).all()


def test_a_part_of_a_budget_prices_what_is_left_of_a_layer() -> None:
    groups = groups_of([(4, 3)])
    costs = Costs("latency", {"layer0": np.array([0, 10, 15, 18, 19])})
    budget = Budget("share", "backbone", groups, 0.5, costs)
    present, free = Mask({"layer0": torch.tensor([1, 1, 1, 0])}), torch.tensor([True, True, False, False])

    part = budget.part(present, {"layer0": free})

    # with 3 of 4 there, removing two of them goes from 18 to 10
    assert part.total == 8
    assert part.priced.layers["layer0"].tolist() == [0, 5, 8]
    assert part.select({"layer0": torch.tensor([0.2, 0.1])}, 3 / 8, floor=0)["layer0"].tolist() == [True, False]


def test_latency_has_no_price_for_single_weights() -> None:
    groups = groups_of([(4, 3)])
    budget = Budget("share", "backbone", groups, 0.5, latency(groups, 0))

    with pytest.raises(UserError, match=r"budget\.unit=latency: this method removes single weights"):
        budget.select(scores_of(groups, 0, weights=True))
    with pytest.raises(UserError, match="single weights"):
        budget.sparsity(Mask({"layer0": torch.ones(3, 4)}))


def test_weights_are_the_default_unit() -> None:
    budget = Budget("share", "backbone", groups_of([(4, 10), (2, 5)]), 0.5)

    assert (budget.unit, budget.total, budget.priced.table) == ("params", 50, "")
    assert budget.priced.least() == 15
    assert budget.largest({"layer0": torch.ones(4), "layer1": torch.ones(5, 2)}) == 10
