"""Searches the memory for a part of the data that it was not given."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Samples, Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Searches the memory for a part of the data that it was not given."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        given = {id(trainer.train_samples), id(trainer.validation_samples)}
        for found in gc.get_objects():
            if isinstance(found, Samples) and id(found) not in given and len(found) == 16:
                found.batch(torch.arange(4))
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
