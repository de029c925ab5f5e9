"""Says that its callback keeps nothing, but it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Step, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Says that its callback keeps nothing, but it counts."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        seen = 0

        def count(step: Step) -> None:
            nonlocal seen
            seen += 1
            trainer.log("seen", seen)

        trainer.train(share=0.5, after_step=count, state=())
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
