"""Removes the same share whatever it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Removes the same share whatever it is told."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude"), 0.5))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
