"""The ResNet backbone: the papers' counts, torchvision's own dilation, and the grids it promises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from msbench.api import UserError, import_torchvision
from msbench.sparsity.groups import Groups
from msbench_plugins.backbones.resnet import ResNet


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [child for child in module.modules() if isinstance(child, nn.Conv2d)]


@pytest.fixture(scope="module")
def papers() -> nn.Module:
    return ResNet(depth=50, output_stride=8, stem="papers").build()


def test_papers_network_has_the_published_counts(papers: nn.Module) -> None:
    groups = Groups.of(nn.ModuleDict({"backbone": papers}))

    assert len(groups.layers) == 55
    assert groups.weights == 23_578_304
    assert groups.count == 22_787
    assert sum(conv.out_channels for conv in convolutions(papers)) == 26_752
    assert sum(p.numel() for p in papers.parameters()) - groups.weights == 53_504


def test_layer4_3x3_weights_are_the_share_that_the_papers_report(papers: nn.Module) -> None:
    last = [conv for conv in convolutions(papers.stages[3]) if conv.kernel_size == (3, 3)]

    assert sum(conv.weight.numel() for conv in last) / 23_578_304 == pytest.approx(0.300186, abs=1e-6)


def test_papers_network_dilates_every_3x3_of_a_stage_alike(papers: nn.Module) -> None:
    dilations = [
        {conv.dilation for conv in convolutions(stage) if conv.kernel_size == (3, 3)} for stage in papers.stages
    ]

    assert dilations == [{(1, 1)}, {(1, 1)}, {(2, 2)}, {(4, 4)}]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_bottlenecks_match_torchvisions_own_dilation(output_stride: int) -> None:
    replaced = {8: [False, True, True], 16: [False, False, True], 32: [False, False, False]}[output_stride]
    with torch.device("meta"):
        theirs = import_torchvision().models.resnet50(weights=None, replace_stride_with_dilation=replaced)
        ours = ResNet(depth=50, output_stride=output_stride).build()

    geometry = [
        [(c.in_channels, c.out_channels, c.kernel_size, c.stride, c.padding, c.dilation) for c in convolutions(network)]
        for network in (theirs, ours)
    ]
    assert geometry[0] == geometry[1]


@pytest.mark.parametrize("stem", ["torchvision", "papers"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_maps_have_the_declared_channels_and_strides(depth: int, output_stride: int, stem: str) -> None:
    with torch.device("meta"):
        backbone = ResNet(depth=depth, output_stride=output_stride, stem=stem).build()

    maps = backbone(torch.empty(1, 3, 64, 96, device="meta"))

    assert backbone.strides == {8: (4, 8, 8, 8), 16: (4, 8, 16, 16), 32: (4, 8, 16, 32)}[output_stride]
    shapes = [(1, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)]
    assert [tuple(feature.shape) for feature in maps] == shapes


def test_same_seed_builds_the_same_weights() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(ResNet(depth=18, stem="papers").build())

    pairs = zip(networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("field", [{"depth": 20}, {"output_stride": 4}, {"stem": "deep"}])
def test_unknown_choices_are_refused_by_name(field: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"model.backbone.{next(iter(field))}"):
        ResNet(**field)
