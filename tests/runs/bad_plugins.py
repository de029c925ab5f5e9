"""Sparsifiers that break a rule each; given to msbench with --plugin."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from msbench.api import Mask, Sparsifier, Trainer, hookimpl


@dataclass
class Overspends(Sparsifier):
    """Asks for more than its allowance."""

    name: ClassVar[str] = "overspends"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train()
        trainer.train(steps=1)


@dataclass
class TouchesGlobal(Sparsifier):
    """Draws from torch's global generator."""

    name: ClassVar[str] = "touches_global"

    def sparsify(self, trainer: Trainer) -> None:
        torch.rand(3)
        trainer.train()


@dataclass
class Raises(Sparsifier):
    """Raises in the middle."""

    name: ClassVar[str] = "raises"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.1)
        raise ValueError("no good <b>at all</b>")


@dataclass
class Exits(Sparsifier):
    """Takes its process down without a word."""

    name: ClassVar[str] = "exits"

    def sparsify(self, trainer: Trainer) -> None:
        print("the last words of exits", flush=True)
        os._exit(7)


@dataclass
class OutOfMemory(Sparsifier):
    """Is killed as a system kills what has taken all memory."""

    name: ClassVar[str] = "out_of_memory"

    def sparsify(self, trainer: Trainer) -> None:
        print("the last words of out_of_memory", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Diverges(Sparsifier):
    """Makes the loss infinite."""

    name: ClassVar[str] = "diverges"

    def sparsify(self, trainer: Trainer) -> None:
        with torch.no_grad():
            next(trainer.model.heads.parameters()).fill_(float("inf"))
        trainer.train()


@dataclass
class NotANumber(Sparsifier):
    """Makes the loss something that is no number."""

    name: ClassVar[str] = "not_a_number"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=0.1)
        with torch.no_grad():
            next(trainer.model.backbone.parameters()).fill_(float("nan"))
        trainer.train()


@dataclass
class Misses(Sparsifier):
    """Ends far from its budget."""

    name: ClassVar[str] = "misses"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(trainer.budget.select(trainer.rank("random"), sparsity=0.1))
        trainer.train()


@dataclass
class OutOfScope(Sparsifier):
    """Masks a head although the budget counts the backbone."""

    name: ClassVar[str] = "out_of_scope"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(Mask({"heads.depth.predict": torch.zeros(8, dtype=torch.bool)}))
        trainer.train()


@dataclass
class Sleeps(Sparsifier):
    """Waits for nothing."""

    name: ClassVar[str] = "sleeps"

    def sparsify(self, trainer: Trainer) -> None:
        time.sleep(600)


@dataclass
class Loops(Sparsifier):
    """Never ends, and never waits."""

    name: ClassVar[str] = "loops"

    def sparsify(self, trainer: Trainer) -> None:
        print("the last words of loops", flush=True)
        while True:
            pass


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    ends = [Exits, OutOfMemory, Sleeps, Loops]
    return [Overspends, TouchesGlobal, Raises, Diverges, NotANumber, Misses, OutOfScope, *ends]
