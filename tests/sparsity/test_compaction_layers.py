"""Compaction of single kinds of layers: what is kept of each, by hand, and that outputs stay the same."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from msbench.measure.flops import multiply_adds
from msbench.sparsity.compaction import Compaction, Report, compact, fold_batchnorm, prove
from msbench.sparsity.compaction.facts import round_up
from msbench.sparsity.compaction.grouping import cut
from msbench.sparsity.mask import Mask
from tests.sparsity import networks, random_networks

IMAGES = [torch.randn(size, generator=torch.Generator().manual_seed(1)) for size in ((2, 3, 9, 12), (1, 3, 10, 7))]


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return networks.unsettle(nn.Sequential(*layers), seed=0)


def proven(model: nn.Module, mask: Mask, round_to: int = 1) -> Compaction:
    """The compact form, after its outputs were compared with the masked network's."""
    compaction = compact(model, mask, IMAGES[0], round_to=round_to)
    assert compaction.reason == ""
    masked = copy.deepcopy(model)
    mask.apply(masked)
    proof = prove(masked, compaction.model, IMAGES, exact=compaction.exact)
    assert proof.equal, proof
    if round_to == 1:
        assert multiply_adds(compaction.model, IMAGES[0]) <= multiply_adds(masked, IMAGES[0])
    return compaction


def first(count: int, of: int) -> Tensor:
    return torch.arange(of) < count


def inverted_residual() -> nn.Module:
    """MobileNetV2's block: 4 channels, 12 hidden."""
    expand = [nn.Conv2d(4, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6()]
    depthwise = [nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6()]
    project = [nn.Conv2d(12, 4, 1, bias=False), nn.BatchNorm2d(4)]
    return network(nn.Conv2d(3, 4, 1), *expand, *depthwise, *project)


def test_a_depthwise_convolution_loses_the_channels_that_its_reader_drops() -> None:
    compaction = proven(inverted_residual(), Mask({"7": first(5, 12)}))

    assert compaction.report.channels == {"0": (3, 4), "1": (4, 5), "4": (5, 5), "7": (5, 4)}
    assert compaction.model.get_submodule("4").groups == 5


def test_a_depthwise_convolution_of_constants_is_one_map() -> None:
    """Its input is constant, its output is not: zero padding leaves a border."""
    report = proven(inverted_residual(), Mask({"1": first(0, 4)})).report

    assert report.removed == ("0", "1", "4", "7")


def test_a_depthwise_convolution_of_some_constants_keeps_the_rest() -> None:
    model = inverted_residual()
    with torch.no_grad():
        model[1].weight[:7] = 0  # type: ignore[index]

    assert proven(model, Mask({})).report.channels["4"] == (5, 5)


def grouped(reader: Tensor) -> tuple[Report, nn.Module]:
    model = network(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 9, 3, padding=1, groups=3), nn.Conv2d(9, 2, 1))
    compaction = proven(model, Mask({"3": reader}))
    return compaction.report, compaction.model.get_submodule("2")


def test_groups_whose_outputs_nobody_reads_are_dropped() -> None:
    report, layer = grouped(torch.tensor([1, 1, 1, 0, 0, 0, 1, 1, 1]))

    assert (layer.groups, report.channels) == (2, {"0": (3, 4), "2": (4, 6), "3": (6, 2)})


def test_groups_of_unequal_width_are_padded() -> None:
    report, layer = grouped(torch.tensor([1, 0, 1, 1, 0, 0, 0, 0, 0]))

    assert (layer.groups, report.channels["2"], report.channels["3"]) == (2, (4, 4), (3, 2))


@given(
    rows=st.lists(st.booleans(), min_size=6, max_size=6).filter(any),
    columns=st.lists(st.booleans(), min_size=12, max_size=12).filter(any),
)
@settings(max_examples=60, deadline=None)
def test_a_cut_computes_rows_and_columns_of_the_whole(rows: list[bool], columns: list[bool]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(size, generator=generator).double() for size in ((6, 4, 3, 3), (6,)))
    image = torch.randn(1, 12, 5, 5, generator=generator).double()
    chosen, wanted = torch.tensor(rows), torch.tensor(columns)

    block = cut(weight, bias, chosen, wanted, groups=3)
    given_inputs = image[:, wanted] if block.inputs is None else image[:, wanted][:, block.inputs]
    found = F.conv2d(given_inputs, block.weight, block.bias, groups=block.groups)

    expected = F.conv2d(image * wanted.view(1, -1, 1, 1), weight, bias, groups=3)[:, chosen]
    torch.testing.assert_close(found if block.outputs is None else found[:, block.outputs], expected)
    assert block.weight.numel() <= weight.numel()


def test_linear_layers_with_channels_last_lose_hidden_channels() -> None:
    model = network(nn.Conv2d(3, 6, 1), random_networks.ChannelsLast(6), nn.Conv2d(6, 2, 1))

    report = proven(model, Mask({"1.project": first(5, 12), "1.expand": first(4, 6)})).report

    assert (report.channels["1.expand"], report.channels["1.project"]) == ((4, 5), (5, 6))
    assert report.held == {"_1_norm (LayerNorm)": 2}


class Tokens(nn.Module):
    """Pixels as rows of a table whose length depends on the number and size of images."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.project = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, height, length = x.shape
        table = x.flatten(2).transpose(1, 2).reshape(-1, width)
        table = self.project(F.relu(self.expand(table)))
        table = table.view(batch, table.shape[0] // batch, table.shape[1]).transpose(1, 2)
        return table.reshape(batch, width, height, length)


def test_a_table_whose_length_depends_on_the_image_is_kept_whole() -> None:
    model = network(nn.Conv2d(3, 6, 1), Tokens(), nn.Conv2d(6, 2, 1))

    report = proven(model, Mask({"1.project": first(5, 8), "2": first(3, 6)})).report

    assert {"_1_expand (Linear)", "_1_project (Linear)"} <= set(report.whole)


def test_a_branch_with_zero_layer_scale_is_removed() -> None:
    block = random_networks.ChannelsLast(6)
    model = network(nn.Conv2d(3, 6, 1), block, nn.Conv2d(6, 2, 1))
    with torch.no_grad():
        block.scale.zero_()

    assert {"1.expand", "1.project"} <= set(proven(model, Mask({})).report.removed)


def test_a_channel_that_is_zero_stays_zero_under_a_gate() -> None:
    model = network(nn.Conv2d(3, 6, 1, bias=False), random_networks.SqueezeExcite(6), nn.Conv2d(6, 2, 1))
    with torch.no_grad():
        model[0].weight[:4] = 0  # type: ignore[index]

    assert proven(model, Mask({})).report.channels == {"0": (3, 2), "1.down": (2, 4), "1.up": (4, 2), "2": (2, 2)}


def test_channels_that_stay_for_an_operation_without_a_rule_are_counted() -> None:
    model = network(nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6), nn.Conv2d(6, 2, 1))

    report = proven(model, Mask({"2": first(2, 6)})).report

    assert report.held == {"_1 (GroupNorm)": 4}
    assert report.notes == ("_1 (GroupNorm) was kept whole: 4 channels of its inputs stay on such accounts",)


def test_of_an_unstructured_mask_whole_rows_and_columns_go() -> None:
    model = network(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Conv2d(4, 2, 1, bias=False))
    kept = torch.ones(4, 6, 3, 3, dtype=torch.bool)
    kept[1], kept[:, 2], kept[0, 0] = False, False, False

    report = proven(model, Mask({"2": kept})).report

    assert report.channels == {"0": (3, 5), "2": (5, 3), "3": (3, 2)}
    assert report.zeros == 9
    assert report.notes == ("9 single weights are zero: no dense speed-up for them",)


@pytest.mark.parametrize(("kept", "expected"), [(5, 8), (8, 8), (11, 12), (12, 12)])
def test_kept_channels_are_rounded_up(kept: int, expected: int) -> None:
    model = inverted_residual()

    channels = proven(model, Mask({"7": first(kept, 12)}), round_to=4).report.channels

    assert channels == {"0": (3, 4), "1": (4, expected), "4": (expected, expected), "7": (expected, 4)}


def test_rounding_stops_at_the_channels_that_there_are() -> None:
    some, all_but_one = torch.tensor([1, 0, 1, 0, 1, 0, 0]), torch.arange(7) != 3

    assert int(round_up(some, all_but_one, 4).sum()) == 4
    assert torch.equal(round_up(some, all_but_one, 16), all_but_one)
    with pytest.raises(ValueError, match="round_to"):
        compact(inverted_residual(), Mask({}), IMAGES[0], round_to=0)


def test_the_dense_network_adds_in_place_after_an_identity_shortcut() -> None:
    """Else a saving that needs no sparsity would be credited to it."""
    folded = fold_batchnorm(networks.unsettle(networks.Bottlenecks(), seed=0), torch.randn(1, 3, 16, 24))

    additions = [node for node in folded.graph.nodes if "add" in node.name]  # type: ignore[union-attr]
    assert [node.target.__name__ for node in additions] == ["iadd"] * 3
