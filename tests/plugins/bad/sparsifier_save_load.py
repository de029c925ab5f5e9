"""Scales the outputs by a hook, which no file of weights holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Scales the outputs by a hook, which no file of weights holds."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()
        trainer.model.backbone.register_forward_hook(lambda module, args, maps: [0.9 * y for y in maps])


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
