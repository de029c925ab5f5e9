"""The mask of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Criterion, Trainer


@dataclass
class SavedMask(Criterion):
    """What a finished run kept: 1, and what it removed: 0. `mask:RUN` is its short form.

    Layers that the mask does not name are kept whole: 1.

    run: a run's id; `mask:NAME` with a sparsifier's name stands for its run of the same budget and seed.
    """

    name: ClassVar[str] = "mask"
    fixed: ClassVar[bool] = True
    run: str = ""

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        mask = trainer.saved_mask(self.run)
        return {layer.name: mask.channels(layer.name, layer.count).float() for layer in trainer.groups.layers}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        mask = trainer.saved_mask(self.run)
        return {
            name: mask.expanded(name, weight).expand_as(weight).float() if name in mask else torch.ones_like(weight)
            for name, weight in trainer.weights.items()
        }
