"""Has a layer that it never uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone


@dataclass
class Bad(GoodBackbone):
    """Has a layer that it never uses."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        module = super().build()
        module.unused = nn.Conv2d(3, 4, 1)
        return module


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
