"""Brings weights back that its mask removes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Brings weights back that its mask removes."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train(steps=trainer.steps() - 1)
        trainer.train(steps=1, after_step=lambda step: self.revive(trainer))
        trainer.evaluate = lambda: None

    def revive(self, trainer: Trainer) -> None:
        with torch.no_grad():
            for weight in trainer.weights.values():
                weight.add_(1e-3)


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
