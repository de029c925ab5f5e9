"""Masks the heads although the budget is the backbone's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Mask, Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Masks the heads although the budget is the backbone's."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        inputs = trainer.model.get_submodule("heads.segmentation.predict").weight.shape[1]
        heads = {"heads.segmentation.predict": torch.arange(inputs) > 0}
        chosen = trainer.budget.select(trainer.rank("magnitude"))
        trainer.apply_mask(Mask({**heads, **chosen}))
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
