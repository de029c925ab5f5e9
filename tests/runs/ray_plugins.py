"""Sparsifiers whose Ray worker dies under them; given to msbench with --plugin. Without Ray they are ordinary ones."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Sparsifier, Trainer, hookimpl

MARK = "MSBENCH_TEST_MARK"
"""A file's name in the environment; what is lost once makes the file first."""


def lose_ray_worker() -> None:
    """Kill the parent, if it is a Ray worker."""
    if Path(f"/proc/{os.getppid()}/cmdline").read_bytes().startswith(b"ray::"):
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()  # the system ends this process with its parent


@dataclass
class LostOnce(Sparsifier):
    """Loses its Ray worker in the middle, the first time."""

    name: ClassVar[str] = "lost_once"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        mark = Path(os.environ[MARK])
        if not mark.exists():
            mark.touch()
            lose_ray_worker()
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


@dataclass
class LostAlways(Sparsifier):
    """Loses its Ray worker every time."""

    name: ClassVar[str] = "lost_always"

    def sparsify(self, trainer: Trainer) -> None:
        lose_ray_worker()
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [LostOnce, LostAlways]
