"""The control: the same network, data and allowance, nothing removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer


@dataclass
class Dense(Sparsifier):
    """Train on all tasks for the whole allowance."""

    name: ClassVar[str] = "dense"
    sparse: ClassVar[bool] = False

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train()
