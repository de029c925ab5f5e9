"""Declares a stride that it does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Backbone, BackboneModule, hookimpl
from tests.plugins.good import GoodBackbone


@dataclass
class Bad(GoodBackbone):
    """Declares a stride that it does not have."""

    name: ClassVar[str] = "bad"

    def build(self) -> BackboneModule:
        module = super().build()
        module.strides = (2, 8)
        return module


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [Bad]
