"""Says that it finds a sparsity, but calculates with a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Says that it finds a sparsity, but calculates with a target."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"
    finds_sparsity: ClassVar[bool] = True

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude"), 1.0 * trainer.budget.target))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
