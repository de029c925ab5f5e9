"""Replaces the backbone's class by one that no tracer can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Replaces the backbone's class by one that no tracer can follow."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()
        plain = type(trainer.model.backbone)

        class Rows(plain):
            def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
                return super().forward(torch.stack(list(image)))

        trainer.model.backbone.__class__ = Rows


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
