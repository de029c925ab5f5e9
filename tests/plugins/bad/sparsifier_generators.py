"""Ranks by Python's global generator."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Ranks by Python's global generator."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        seed = random.randrange(1000) + trainer.seed
        chance = torch.Generator().manual_seed(seed)
        scores = {layer.name: torch.rand(layer.count, generator=chance) for layer in trainer.groups.layers}
        trainer.apply_mask(trainer.budget.select(scores))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
