"""torchvision's networks that are one chain of layers: MobileNetV2 and VGG-16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from msbench.api import BackboneModule, UserError, import_torchvision
from msbench_plugins.backbones.strides import check_output_stride, hold_stride
from msbench_plugins.backbones.weights import FileBackbone


@dataclass
class MobileNetV2(FileBackbone):
    """torchvision's MobileNetV2 without its classifier, the last 1x1 convolution to 1280 included; four maps.

    A depthwise convolution has a single group (its weight has one input channel), which structured methods keep;
    its filters go where the convolution that reads them drops their channel.

    width: multiplier of every layer's channels, rounded to multiples of 8 (the last layer never shrinks).
    output_stride: 8, 16 or 32 input pixels per pixel of the last map; strides beyond it become dilations.
    """

    name: ClassVar[str] = "mobilenet_v2"
    paper: ClassVar[str] = "Sandler et al. MobileNetV2: inverted residuals and linear bottlenecks. CVPR 2018"
    width: float = 1.0
    output_stride: int = 32

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)
        if not 0 < self.width <= 4:
            raise UserError(f"model.backbone.width: must lie in (0, 4], got {self.width}")

    def fresh(self) -> BackboneModule:
        network = import_torchvision().models.mobilenet_v2(weights=None, width_mult=self.width)
        return Chain(network.features, (3, 6, 13, 18), self.output_stride)


@dataclass
class VGG16(FileBackbone):
    """torchvision's VGG-16 with batch-norm and without its classifier; the maps after its last four blocks.

    output_stride: 8, 16 or 32 input pixels per pixel of the last map; poolings beyond it are left out and the
        convolutions after them dilated (Chen et al., 2015).
    """

    name: ClassVar[str] = "vgg16_bn"
    paper: ClassVar[str] = "Simonyan and Zisserman. Very deep convolutional networks. ICLR 2015"
    output_stride: int = 32

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)

    def fresh(self) -> BackboneModule:
        vgg = import_torchvision().models.vgg
        features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
        for conv in (layer for layer in features if isinstance(layer, nn.Conv2d)):
            # torchvision's initialisation, without its classifier of 124 M parameters
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        return Chain(features, (13, 23, 33, 43), self.output_stride)


class Chain(BackboneModule):
    """`features` one after another, under torchvision's names; returns what comes out of the layers `ends`."""

    def __init__(self, features: nn.Sequential, ends: tuple[int, ...], output_stride: int) -> None:
        super().__init__()
        self.ends = ends
        self.strides = hold_stride(features, output_stride, ends)
        self.features = features
        self.channels = _channels(features, ends)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = []
        y = image
        for index, layer in enumerate(self.features):
            y = layer(y)
            if index in self.ends:
                maps.append(y)
        return maps


def _channels(features: nn.Sequential, ends: tuple[int, ...]) -> tuple[int, ...]:
    """How many channels come out of each of the layers `ends`: those of the last convolution up to there."""
    found = []
    for end in ends:
        convs = [conv for conv in features[: end + 1].modules() if isinstance(conv, nn.Conv2d)]
        found.append(convs[-1].out_channels)
    return tuple(found)
