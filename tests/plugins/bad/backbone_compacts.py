"""Works for batches of two images alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone, GoodBackboneModule


class Pairs(GoodBackboneModule):
    def forward(self, image: Tensor) -> list[Tensor]:
        fine, coarse = super().forward(image)
        return [fine, coarse.view(2, coarse.shape[1], coarse.shape[2], coarse.shape[3])]


@dataclass
class Bad(GoodBackbone):
    """Works for batches of two images alone."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        return Pairs(self.width)


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
