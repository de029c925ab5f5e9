"""The papers' dense head: its size, its grid, its rates."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from msbench.api import BackboneModule, UserError
from msbench_plugins.heads.deeplab import DeepLabV3


class Features(BackboneModule):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.strides = (8, channels), (4, 8)


def test_a_head_on_2048_channels_has_about_16_million_parameters() -> None:
    head = DeepLabV3().build(Features(2048), 40)

    weights = 256 * (2048 * (1 + 3 * 9 + 1) + 5 * 256 + 9 * 256) + 7 * 2 * 256 + 40 * 257
    assert sum(p.numel() for p in head.parameters()) == weights
    assert weights == pytest.approx(16.1e6, rel=0.005)


def test_output_keeps_the_grid_of_the_last_map() -> None:
    head = DeepLabV3(width=4).build(Features(6), 5)

    output = head([torch.zeros(2, 8, 14, 18), torch.randn(2, 6, 7, 9)])

    assert output.shape == (2, 5, 7, 9)


def test_atrous_branches_have_the_asked_rates_and_keep_the_grid() -> None:
    head = DeepLabV3(width=4, rates=(2, 5)).build(Features(6), 5)

    dilated = [conv for conv in head.modules() if isinstance(conv, nn.Conv2d) and conv.dilation != (1, 1)]
    assert [(conv.dilation, conv.padding) for conv in dilated] == [((2, 2), (2, 2)), ((5, 5), (5, 5))]


def test_head_can_be_traced() -> None:
    fx.symbolic_trace(DeepLabV3(width=4).build(Features(6), 5))


@pytest.mark.parametrize("field", [{"width": 0}, {"rates": (0,)}, {"dropout": 1.0}])
def test_impossible_fields_are_refused_by_name(field: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"model.head.{next(iter(field))}"):
        DeepLabV3(**field)
