"""Divides by a parameter that nobody checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Trains dense for a part of the allowance.

    parts: one of so many.
    """

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"
    parts: int = 2

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=1 / self.parts)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
