"""A head for small things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from msbench.api import BackboneModule, Head


@dataclass
class Finest(Head):
    """Two convolutions on the finest map alone: little context, sharp borders.

    width: channels between them.
    """

    name: ClassVar[str] = "finest"
    kind: ClassVar[Literal["dense", "vector"]] = "dense"
    width: Annotated[int, Ge(1)] = 16

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return FinestModule(backbone.channels[0], self.width, channels)


class FinestModule(nn.Module):
    """The backbone's maps to [B, `outputs`, h, w] on the finest map's grid."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(inputs, width, 3, padding=1)
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.predict(F.relu(self.hidden(features[0])))
