"""Latency tables: interpolation of synthetic ones, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from msbench.measure.table import LatencyTable, LayerShape, layer_calls, measure_table
from msbench.sparsity.groups import Groups
from tests.measure.test_flops import network

SHAPE = LayerShape("Conv2d", 8, 4, (8, 6, 6), (3, 3), (1, 1), (1, 1), (1, 1))


def table(kept: list[int], seconds: list[float]) -> LatencyTable:
    return LatencyTable({"cpu": "none"}, {SHAPE.key: (kept, seconds)})


def test_seconds_are_linear_between_points_and_nothing_without_channels() -> None:
    found = table([1, 4, 8], [1.0, 4.0, 6.0]).seconds(SHAPE)

    assert found.tolist() == pytest.approx([0, 1, 2, 3, 4, 4.5, 5, 5.5, 6])


def test_what_falls_is_made_level_by_isotonic_regression() -> None:
    # 3 and 1 are out of order: both become their mean
    assert table([1, 2, 8], [3.0, 1.0, 4.0]).seconds(SHAPE)[[1, 2, 8]].tolist() == pytest.approx([2, 2, 4])


@settings(max_examples=30)
@given(st.lists(st.floats(1e-6, 1.0), min_size=4, max_size=4))
def test_more_channels_never_cost_less(seconds: list[float]) -> None:
    assert (np.diff(table([1, 2, 5, 8], seconds).seconds(SHAPE)) >= 0).all()


def test_costs_add_up_the_uses_of_a_layer_in_picoseconds() -> None:
    found = table([1, 8], [1e-6, 8e-6])
    groups = Groups.of(nn.ModuleDict({"backbone": nn.Conv2d(8, 4, 3)}), "model")

    costs = found.costs(groups, {"backbone": [SHAPE, SHAPE]})

    assert costs.unit == "latency"
    assert costs.table == found.digest
    assert costs.layers["backbone"].tolist() == [2_000_000 * kept for kept in range(9)]


def test_the_digest_follows_the_content_and_survives_json() -> None:
    found = table([1, 8], [1.0, 2.0])

    assert LatencyTable.of_plain(found.plain()).digest == found.digest
    assert table([1, 8], [1.0, 3.0]).digest != found.digest


def test_a_table_from_a_busy_machine_warns() -> None:
    layers = table([1, 8], [1.0, 2.0]).layers

    assert LatencyTable({"cpu_share": 0.97}, layers).warning == ""
    assert "50% of the time" in LatencyTable({"cpu_share": 0.5}, layers).warning


def test_calls_are_the_layers_that_a_forward_uses() -> None:
    calls = layer_calls(network(), torch.zeros(2, 3, 8, 8))

    assert [shape.image for shape in calls["backbone.3"]] == [(4, 8, 8)]
    assert calls["head.2"] == [LayerShape("Linear", 6, 5, (6,))]


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(8, 6, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, groups=2), nn.Linear(8, 3)]
)
def test_a_layer_is_rebuilt_with_fewer_inputs(layer: nn.Module) -> None:
    given_ = torch.zeros(1, 8) if isinstance(layer, nn.Linear) else torch.zeros(1, 8, 7, 7)
    shape = LayerShape.of(layer, given_)
    for kept in shape.grid():
        module, size = shape.build(kept)

        assert module.weight.shape == (layer.weight.shape[0], kept, *layer.weight.shape[2:])  # type: ignore[union-attr,operator,misc]
        assert module(torch.zeros(1, *size)).shape == layer(given_).shape


def test_measuring_gives_a_positive_time_at_every_point() -> None:
    small = LayerShape("Conv2d", 2, 2, (2, 4, 4), (1, 1), (1, 1), (0, 0), (1, 1))

    found = measure_table([small, small], {"cpu": "this"})

    kept, seconds = found.layers[small.key]
    assert list(kept) == [1, 2]
    assert all(value > 0 for value in seconds)
    assert found.machine["cpu"] == "this"
    assert len(found.layers) == 1
