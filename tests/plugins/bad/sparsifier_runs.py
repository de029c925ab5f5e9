"""Raises in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class Bad(Sparsifier):
    """Raises in the middle."""

    name: ClassVar[str] = "bad"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        raise KeyError("layer")


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Bad]
