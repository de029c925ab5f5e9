"""Branches on what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone, GoodBackboneModule


class Branching(GoodBackboneModule):
    def forward(self, image: Tensor) -> list[Tensor]:
        return super().forward(image if image.mean() > -1 else -image)


@dataclass
class Bad(GoodBackbone):
    """Branches on what it sees."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        return Branching(self.width)


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
