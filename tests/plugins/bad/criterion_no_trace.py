"""Leaves gradients and other batch-norm statistics behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from msbench.api import Criterion, Trainer, hookimpl
from tests.plugins.good import GoodCriterion


@dataclass
class Bad(GoodCriterion):
    """Leaves gradients and other batch-norm statistics behind."""

    name: ClassVar[str] = "bad"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        trainer.backward(trainer.next_batch())
        return super().score(trainer)


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Bad]
