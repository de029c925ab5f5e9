"""Keeps a tensor where the network cannot move it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Keeps a tensor where the network cannot move it."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()
        nothing = torch.zeros(1, 1, 1, 1)
        trainer.model.backbone.register_forward_hook(lambda module, args, maps: [y + nothing for y in maps])


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
