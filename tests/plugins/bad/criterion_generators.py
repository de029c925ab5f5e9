"""Scores by torch's global generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Criterion, Trainer, hookimpl
from tests.plugins.good import GoodCriterion


@dataclass
class Bad(GoodCriterion):
    """Scores by torch's global generator."""

    name: ClassVar[str] = "bad"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer.name: torch.rand(layer.count) for layer in trainer.groups.layers}


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Bad]
