"""The papers' other heads: their sizes by hand, their grids, what they compute, torch.fx."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from msbench.api import BackboneModule, UserError
from msbench_plugins.heads.aspp import SummedASPP
from msbench_plugins.heads.vector import ConvTwoLayer


class Features(BackboneModule):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.strides = (8, channels), (4, 8)


def weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "count"),
    [
        (512, 40, 23_232_512),
        (512, 3, 23_080_960),
        (512, 1, 23_072_768),
        (1280, 40, 51_544_064),
        (1280, 3, 51_392_512),
        (1280, 1, 51_384_320),
    ],
)
def test_adapmtls_heads_have_its_counts(inputs: int, outputs: int, count: int) -> None:
    with torch.device("meta"):
        head = SummedASPP().build(Features(inputs), outputs)

    assert weights(head) == count
    assert sum(p.numel() for p in head.parameters()) == count + 4 * (2 * 1024 + outputs)


def test_adapmtls_networks_have_its_totals() -> None:
    assert 21_267_648 + 23_232_512 + 23_080_960 + 23_072_768 == 90_653_888
    assert 2_189_760 + 51_544_064 + 51_392_512 + 51_384_320 == 156_510_656


def test_summed_aspp_is_the_sum_of_its_branches_on_the_last_map() -> None:
    head = SummedASPP(width=4, rates=(1, 2), dropout=0.0).build(Features(6), 5)
    features = [torch.zeros(2, 8, 14, 18), torch.randn(2, 6, 7, 9)]

    output = head(features)

    assert output.shape == (2, 5, 7, 9)
    torch.testing.assert_close(output, sum(branch(features[-1]) for branch in head.branches))
    assert [branch[0].dilation for branch in head.branches] == [(1, 1), (2, 2)]


def test_a_branch_is_three_convolutions_in_the_papers_order() -> None:
    branch = SummedASPP(width=4, rates=(3,)).build(Features(6), 5).branches[0]

    assert [type(layer).__name__ for layer in branch] == [
        *("Conv2d", "ReLU", "Dropout", "Conv2d", "ReLU", "Dropout", "Conv2d"),
    ]
    assert [layer.kernel_size for layer in branch if isinstance(layer, nn.Conv2d)] == [(3, 3), (1, 1), (1, 1)]


def test_the_papers_classifier_has_the_counts_made_by_hand() -> None:
    head = ConvTwoLayer().build(Features(2048), 1)

    assert weights(head) == 2048 * 64 * 9 + 64 * 32 + 32
    assert sum(p.numel() for p in head.parameters()) == weights(head) + 64 + 32 + 1
    assert [layer.p for layer in head.modules() if isinstance(layer, nn.Dropout)] == [0.6, 0.4]


@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_papers_classifier_takes_maps_down_to_one_pixel(side: int) -> None:
    head = ConvTwoLayer(width=4, hidden=3).build(Features(6), 2).eval()

    output = head([torch.zeros(2, 8, 2 * side, 2 * side), torch.randn(2, 6, side, side)])

    assert output.shape == (2, 2)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("head", [SummedASPP(width=4), ConvTwoLayer(width=4)])
def test_heads_can_be_traced(head: SummedASPP | ConvTwoLayer) -> None:
    module = head.build(Features(6), 5).eval()
    features = [torch.zeros(1, 8, 8, 8), torch.randn(1, 6, 4, 4)]

    torch.testing.assert_close(fx.symbolic_trace(module)(features), module(features))


@pytest.mark.parametrize(
    ("kind", "field", "where"),
    [
        (SummedASPP, {"width": 0}, "model.head.width"),
        (SummedASPP, {"rates": ()}, "model.head.rates"),
        (SummedASPP, {"rates": (0,)}, "model.head.rates"),
        (SummedASPP, {"dropout": 1.0}, "model.head.dropout"),
        (ConvTwoLayer, {"width": 0}, "model.vector_head.width"),
        (ConvTwoLayer, {"hidden": 0}, "model.vector_head.hidden"),
        (ConvTwoLayer, {"dropout": (0.1, 1.0)}, "model.vector_head.dropout"),
    ],
)
def test_impossible_fields_are_refused_by_name(kind: type, field: dict[str, object], where: str) -> None:
    with pytest.raises(UserError, match=where):
        kind(**field)
