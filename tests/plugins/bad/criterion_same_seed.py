"""Scores by the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Criterion, Trainer, hookimpl
from tests.plugins.good import GoodCriterion


@dataclass
class Bad(GoodCriterion):
    """Scores by the clock."""

    name: ClassVar[str] = "bad"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        chance = torch.Generator().manual_seed(time.time_ns())
        return {layer.name: torch.rand(layer.count, generator=chance) for layer in trainer.groups.layers}


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Bad]
