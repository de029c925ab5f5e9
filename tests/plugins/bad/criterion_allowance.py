"""Scores on a batch that it takes from the samples itself."""

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
    """Scores on a batch that it takes from the samples itself."""

    name: ClassVar[str] = "bad"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        with trainer.scoring():
            trainer.losses(trainer.train_samples.batch(torch.arange(8)))
        return super().score(trainer)


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Bad]
