"""Scores output channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from msbench.api import Criterion, Trainer, hookimpl
from tests.plugins.good import GoodCriterion


@dataclass
class Bad(GoodCriterion):
    """Scores output channels."""

    name: ClassVar[str] = "bad"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer: weight.detach().abs().flatten(1).sum(1) for layer, weight in trainer.weights.items()}


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Bad]
