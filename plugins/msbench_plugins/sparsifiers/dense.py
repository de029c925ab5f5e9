"""The controls: the same data and allowance, nothing removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer


@dataclass
class Dense(Sparsifier):
    """Train on all tasks for the whole allowance."""

    name: ClassVar[str] = "dense"
    sparse: ClassVar[bool] = False

    def plain_share(self) -> float:
        return 1.0

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train()


@dataclass
class SingleTask(Sparsifier):
    """The single-task control: one whole network a task, each trained alone on the same samples.

    Every network starts as a copy of the multi-task one and is trained with its own loss only, so no task helps or
    hurts another. It needs as many backbones as there are tasks, which its parameters and multiply-adds show.
    """

    name: ClassVar[str] = "single_task"
    sparse: ClassVar[bool] = False
    separate: ClassVar[bool] = True

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(objective=lambda losses: torch.stack(list(losses.values())).sum(), state=())

    def notes(self) -> list[str]:
        return ["one backbone a task; its compression compares it with itself, not with the multi-task network"]
