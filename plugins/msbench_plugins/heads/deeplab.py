"""The meta-sparsity papers' dense head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import BackboneModule, Head, UserError


@dataclass
class DeepLabV3(Head):
    """Atrous spatial pyramid pooling on the last map, then a 3x3 and a 1x1 convolution; no upsampling of its
    own.

    width: channels of every branch and of what follows them.
    rates: dilation of each 3x3 branch, beside a 1x1 branch and an image-pooling branch.
    dropout: probability after the 1x1 branch and after the projection.
    """

    name: ClassVar[str] = "deeplabv3"
    kind: ClassVar[Literal["dense", "vector"]] = "dense"
    paper: ClassVar[str] = "Chen et al. Rethinking atrous convolution for semantic image segmentation. 2017"
    width: int = 256
    rates: tuple[int, ...] = (12, 24, 36)
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"model.head.width: must be at least 1, got {self.width}")
        if any(rate < 1 for rate in self.rates):
            raise UserError(f"model.head.rates: every rate must be at least 1, got {list(self.rates)}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.head.dropout: must be in [0, 1), got {self.dropout}")

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return _DeepLabV3(backbone.channels[-1], self.width, tuple(self.rates), self.dropout, channels)


class _DeepLabV3(nn.Module):
    def __init__(self, inputs: int, width: int, rates: tuple[int, ...], dropout: float, outputs: int) -> None:
        super().__init__()
        self.point = nn.Sequential(*_conv_bn_relu(inputs, width, 1), nn.Dropout(dropout))
        self.atrous = nn.ModuleList(nn.Sequential(*_conv_bn_relu(inputs, width, 3, rate)) for rate in rates)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(inputs, width, 1))
        branches = 2 + len(rates)
        self.project = nn.Sequential(*_conv_bn_relu(branches * width, width, 1), nn.Dropout(dropout))
        self.smooth = nn.Sequential(*_conv_bn_relu(width, width, 3))
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        pooled = F.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        branches = [self.point(x), *(branch(x) for branch in self.atrous), pooled]
        return self.predict(self.smooth(self.project(torch.cat(branches, dim=1))))


def _conv_bn_relu(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
