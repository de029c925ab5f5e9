"""Shared starts: training that several runs have in common is done once.

Many methods first train plainly for some steps. For one seed, data, model and settings these steps are the same,
whatever comes after them, so their complete state is kept and the next run goes on from it. With the schedule of the
whole run, a shorter start is part of every longer one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch

from msbench.training.state import State, any_hooked
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer

Plain = Mapping[str, Any]
"""What of a plain first stage decides its numbers beside the run's configuration, as plain JSON."""


class Starts(Protocol):
    """Where starts are kept. A start's facts have its `step`, and the `seconds` of training that led there."""

    @property
    def keep(self) -> Collection[int]:
        """Steps after which a plain first stage is kept although it goes on: other runs end theirs there."""

    def find(self, plain: Plain, steps: int) -> State | None:
        """The longest start of at most so many steps."""

    def save(self, plain: Plain, start: State) -> bool:
        """Keep a start; whether it is there now. What cannot be kept is no error."""


class PlainStage:
    """A plain first stage of `count` steps. beginning: digest of the state in which it begins."""

    def __init__(self, starts: Starts, count: int, schedule: str, beginning: str) -> None:
        self._starts, self._count = starts, count
        self._plain: Plain = {"schedule": schedule, "beginning": beginning}
        if schedule != "run":
            self._plain = {**self._plain, "steps": count}

    def find(self) -> State | None:
        """The longest start that is kept."""
        return self._starts.find(self._plain, self._count)

    def wanted(self, done: int, trainer: Trainer) -> bool:
        """Whether somebody can go on from here: at this stage's end, or where other runs' stages end."""
        over = trainer.allowance.left < trainer.settings.batch
        return (done == self._count or done in self._starts.keep) and not over

    def save(self, state: State) -> bool:
        """Keep the state; whether it is there now."""
        return self._starts.save(self._plain, state)


def untouched(trainer: Trainer) -> bool:
    """Whether nothing has happened to the network yet, and nobody else's code runs with it."""
    fresh = torch.Generator().manual_seed(trainer.seed).get_state()
    return (
        trainer.allowance.spent == 0
        and not trainer.history.rows
        and trainer.mask is None
        and type(trainer.view) is View
        and torch.equal(trainer.generator.get_state(), fresh)
        and not any_hooked(trainer)
    )
