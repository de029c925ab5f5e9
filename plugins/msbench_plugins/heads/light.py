"""Small heads: a top-down dense head over all scales, and a fully connected head for attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import BackboneModule, Head, UserError


@dataclass
class LightDense(Head):
    """Top-down head in the manner of feature pyramids (Lin et al., 2017), one convolution a scale.

    Each scale is projected to `width` channels by a 1x1 convolution and added to the upsampled coarser one.
    """

    name: ClassVar[str] = "light"
    kind: ClassVar[Literal["dense", "vector"]] = "dense"
    paper: ClassVar[str] = "Lin et al. Feature pyramid networks for object detection. CVPR 2017"
    width: int = 32

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"model.head: width must be at least 1, got {self.width}")

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return _LightDense(backbone.channels, self.width, channels)


class _LightDense(nn.Module):
    def __init__(self, inputs: tuple[int, ...], width: int, outputs: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in inputs[1:])
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        y = self.lateral[-1](features[-1])
        for level in range(len(self.smooth) - 1, -1, -1):
            fine = self.lateral[level](features[level])
            y = fine + F.interpolate(y, size=fine.shape[-2:], mode="bilinear", align_corners=False)
            y = F.relu(self.smooth[level](F.relu(y)))
        return self.predict(y)


@dataclass
class TwoLayer(Head):
    """Global average pooling of the coarsest map and two fully connected layers, for image-level attributes.

    width: outputs of the first of them.
    """

    name: ClassVar[str] = "two_layer"
    kind: ClassVar[Literal["dense", "vector"]] = "vector"
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"model.vector_head: width must be at least 1, got {self.width}")

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return _TwoLayer(backbone.channels[-1], self.width, channels)


class _TwoLayer(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(inputs, width)
        self.predict = nn.Linear(width, outputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.predict(F.relu(self.hidden(self.pool(features[-1]).flatten(1))))
