"""Sparsifiers whose second process does something else; given to msbench with --plugin."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Sparsifier, Trainer, hookimpl


@dataclass
class SecondRaises(Sparsifier):
    """Its second process fails alone."""

    name: ClassVar[str] = "second_raises"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.5)
        if os.environ.get("RANK") == "1":
            self.differ(trainer)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()

    def differ(self, trainer: Trainer) -> None:
        raise ValueError("no good")


@dataclass
class SecondDies(SecondRaises):
    """Its second process is killed, as by a system that is out of memory."""

    name: ClassVar[str] = "second_dies"

    def differ(self, trainer: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Drifts(SecondRaises):
    """Its second process goes another way."""

    name: ClassVar[str] = "drifts"

    def differ(self, trainer: Trainer) -> None:
        with torch.no_grad():
            next(trainer.model.parameters()).mul_(1.01)


@dataclass
class Stuck(SecondRaises):
    """Its second process keeps the first waiting."""

    name: ClassVar[str] = "stuck"

    def differ(self, trainer: Trainer) -> None:
        time.sleep(600)


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [SecondRaises, SecondDies, Drifts, Stuck]
