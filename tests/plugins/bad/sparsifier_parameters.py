"""Has a parameter without a type to check against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Takes anything.

    what: it takes.
    """

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"
    what: Any = 1

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
