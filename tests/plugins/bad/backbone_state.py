"""Keeps a random factor where no state dict sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone, GoodBackboneModule


class Scaled(GoodBackboneModule):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.factor = float(torch.rand(()))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.factor * y for y in super().forward(image)]


@dataclass
class Bad(GoodBackbone):
    """Keeps a random factor where no state dict sees it."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        return Scaled(self.width)


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
