"""Draws its weights from a seed of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone


@dataclass
class Bad(GoodBackbone):
    """Draws its weights from a seed of its own."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        module = super().build()
        chance = torch.Generator().manual_seed(7)
        for parameter in module.parameters():
            parameter.data = torch.rand(parameter.shape, generator=chance) - 0.5
        return module


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
