"""Every backbone: published sizes, declared grids, torchvision's own features, torch.fx, dilation."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from msbench.api import BackboneModule, UserError, import_torchvision
from msbench.models.base import Backbone
from msbench.sparsity.groups import Groups
from msbench_plugins.backbones.chain import VGG16, MobileNetV2
from msbench_plugins.backbones.convnext import ConvNeXt
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet

EVERY = {
    "small_resnet": SmallResNet(width=4),
    "resnet18": ResNet(depth=18, output_stride=32),
    "adapmtl": ResNet(depth=34, stem="adapmtl"),
    "resnet50": ResNet(depth=50, output_stride=16),
    "mobilenet_v2": MobileNetV2(),
    "vgg16_bn": VGG16(),
    "convnext": ConvNeXt(),
}


def counted(backbone: Backbone) -> BackboneModule:
    """Without memory for its weights."""
    with torch.device("meta"):
        return backbone.build()


def convolution_weights(network: nn.Module) -> int:
    return sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(
    ("backbone", "parameters"),
    [
        # torchvision's published counts less its classifiers: 513,000, 2,049,000, 1,281,000; VGG's three layers
        # 123,642,856; ConvNeXt's 769,000 and the layer-norm before it 1,536
        (ResNet(depth=18), 11_689_512 - 513_000),
        (ResNet(depth=34), 21_797_672 - 513_000),
        (ResNet(depth=50), 25_557_032 - 2_049_000),
        (ResNet(depth=101), 44_549_160 - 2_049_000),
        (MobileNetV2(), 3_504_872 - 1_281_000),
        (VGG16(), 138_365_992 - 123_642_856),
        (ConvNeXt(), 28_589_128 - 769_000 - 1_536),
    ],
    ids=["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2", "vgg16_bn", "convnext_tiny"],
)
def test_parameters_are_those_published(backbone: Backbone, parameters: int) -> None:
    assert sum(p.numel() for p in counted(backbone).parameters()) == parameters


@pytest.mark.parametrize(
    ("backbone", "convolutions", "weights"),
    [(ResNet(depth=34, stem="adapmtl"), 36, 21_267_648), (MobileNetV2(), 52, 2_189_760)],
    ids=["resnet34", "mobilenet_v2"],
)
def test_adapmtls_backbones_have_its_counts(backbone: Backbone, convolutions: int, weights: int) -> None:
    groups = Groups.of(nn.ModuleDict({"backbone": counted(backbone)}))

    assert len(groups.layers) == convolutions
    assert groups.weights == weights


@pytest.mark.parametrize("name", EVERY)
def test_maps_have_the_declared_channels_and_strides_and_can_be_traced(name: str) -> None:
    network = counted(EVERY[name])

    # AdapMTL's pooling rounds up: 65 pixels give the grid that 64 give elsewhere, plus one
    side = 65 if name == "adapmtl" else 64
    maps = fx.symbolic_trace(network)(torch.empty(2, 3, side, side, device="meta"))

    assert [(2, c, -(-side // s), -(-side // s)) for c, s in zip(network.channels, network.strides, strict=True)] == [
        tuple(feature.shape) for feature in maps
    ]


def test_adapmtls_grid_is_41_at_321_pixels() -> None:
    maps = counted(ResNet(depth=34, stem="adapmtl"))(torch.empty(1, 3, 321, 321, device="meta"))

    assert [feature.shape[-1] for feature in maps] == [81, 41, 41, 41]


def test_adapmtls_network_is_dilated_in_a_stages_first_block_too_and_starts_narrow() -> None:
    network = ResNet(depth=34, stem="adapmtl").build()
    stages: nn.ModuleList = network.stages

    dilations = [{m.dilation[0] for m in stage.modules() if getattr(m, "kernel_size", 0) == (3, 3)} for stage in stages]
    assert dilations == [{1}, {1}, {2}, {4}]
    for conv in (m for m in network.modules() if isinstance(m, nn.Conv2d)):
        assert float(conv.weight.detach().std()) == pytest.approx(0.01, rel=0.1)


def test_vgg_starts_as_torchvisions() -> None:
    """He et al. (2015), by what goes out: standard deviation √(2 / (9 · 512)) in the last layers."""
    last = [m for m in VGG16().build().modules() if isinstance(m, nn.Conv2d)][-1]

    assert float(last.weight.detach().std()) == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert not last.bias.any()


@pytest.mark.parametrize(
    ("backbone", "build"),
    [(MobileNetV2(), "mobilenet_v2"), (VGG16(), "vgg16_bn"), (ConvNeXt(), "convnext_tiny")],
    ids=["mobilenet_v2", "vgg16_bn", "convnext_tiny"],
)
def test_last_map_is_that_of_torchvision_with_the_same_weights(backbone: Backbone, build: str) -> None:
    with torch.device("meta"):
        theirs = getattr(import_torchvision().models, build)(weights=None).features.eval()
    ours = backbone.build().eval()
    theirs.load_state_dict(ours.features.state_dict(), assign=True)
    image = torch.rand(1, 3, 32, 32)

    with torch.inference_mode():
        torch.testing.assert_close(ours(image)[-1], theirs(image))


@pytest.mark.parametrize("kind", [MobileNetV2, VGG16])
@pytest.mark.parametrize(("output_stride", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16)), (32, (4, 8, 16, 32))])
def test_chains_keep_the_output_stride(
    kind: type[MobileNetV2 | VGG16], output_stride: int, strides: tuple[int, ...]
) -> None:
    network = counted(kind(output_stride=output_stride))

    assert network.strides == strides
    maps = network(torch.empty(1, 3, 64, 64, device="meta"))
    assert [feature.shape[-1] for feature in maps] == [64 // stride for stride in strides]


def test_a_dilated_network_sees_what_the_strided_one_sees() -> None:
    """Without padding's border, the strided map is the dilated one at every fourth pixel (Chen et al., 2015)."""
    torch.manual_seed(0)
    strided, dilated = (MobileNetV2(width=0.25, output_stride=stride).build().eval() for stride in (32, 8))
    dilated.load_state_dict(strided.state_dict())
    image = torch.zeros(1, 3, 480, 480)
    image[..., 224:256, 224:256] = torch.rand(1, 3, 32, 32)

    with torch.inference_mode():
        coarse, fine = (network(image)[-1][0] for network in (strided, dilated))

    torch.testing.assert_close(fine[:, 28:34:4, 28:34:4], coarse[:, 7:9, 7:9])
    assert coarse[:, 7, 7].std() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MobileNetV2(output_stride=4), "model.backbone.output_stride: 4 is not one of 8, 16, 32"),
        (lambda: VGG16(output_stride=64), "model.backbone.output_stride: 64"),
        (lambda: MobileNetV2(width=0.0), "model.backbone.width"),
    ],
)
def test_impossible_fields_are_refused_by_name(build: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()  # type: ignore[operator]


def test_the_loss_falls_in_a_few_steps() -> None:
    torch.manual_seed(0)
    backbone = MobileNetV2(width=0.25).build()
    head = nn.Conv2d(backbone.channels[1], 1, 1)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], 1e-3)
    image = torch.rand(2, 3, 32, 32)
    target = nn.functional.avg_pool2d(image.mean(1, keepdim=True), 8)

    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (head(backbone(image)[1]) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.7 * losses[0]
