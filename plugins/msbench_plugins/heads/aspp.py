"""AdapMTL's dense head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from msbench.api import BackboneModule, Head, UserError


@dataclass
class SummedASPP(Head):
    """Parallel dilated branches on the last map, each down to the output's channels, and their sum (DeepLabV2).

    A branch is a 3x3 dilated convolution, a 1x1 one and a 1x1 one to the output, with biases and without batch-norm;
    no image pooling, no upsampling of its own.

    width: channels of both hidden layers of a branch.
    rates: dilation of each branch's 3x3 convolution.
    dropout: probability after each hidden layer.
    """

    name: ClassVar[str] = "summed_aspp"
    kind: ClassVar[Literal["dense", "vector"]] = "dense"
    paper: ClassVar[str] = "Xiang et al. AdapMTL. ACM Multimedia 2024; Chen et al. DeepLab. TPAMI 2018"
    width: int = 1024
    rates: tuple[int, ...] = (6, 12, 18, 24)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UserError(f"model.head.width: must be at least 1, got {self.width}")
        if not self.rates or any(rate < 1 for rate in self.rates):
            raise UserError(f"model.head.rates: at least one, every one at least 1, got {list(self.rates)}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.head.dropout: must be in [0, 1), got {self.dropout}")

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return _SummedASPP(backbone.channels[-1], self.width, tuple(self.rates), self.dropout, channels)


class _SummedASPP(nn.Module):
    def __init__(self, inputs: int, width: int, rates: tuple[int, ...], dropout: float, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, width, 3, padding=rate, dilation=rate),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Conv2d(width, width, 1),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Conv2d(width, outputs, 1),
            )
            for rate in rates
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        first, *others = self.branches
        y: Tensor = first(features[-1])
        for branch in others:
            y = y + branch(features[-1])
        return y
