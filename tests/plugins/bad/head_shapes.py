"""Gives two channels whatever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from msbench.api import BackboneModule, Head, hookimpl
from tests.plugins.good import GoodHead


@dataclass
class Bad(GoodHead):
    """Gives two channels whatever it is asked for."""

    name: ClassVar[str] = "bad"

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return super().build(backbone, 2)


@hookimpl
def msbench_heads() -> list[type[Head]]:
    return [Bad]
