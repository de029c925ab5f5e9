"""Trains on more than it says, on batches that it takes from the samples itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Trains on more than it says, on batches that it takes from the samples itself."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()
        batch = trainer.train_samples.batch(torch.arange(8))
        trainer.losses(batch)["segmentation"].backward()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
