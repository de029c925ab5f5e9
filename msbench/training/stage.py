"""Stages: the long part of a run. A killed run does not train again what a checkpoint has of them.

A sparsifier is a script, so a run that starts again runs it again from its first line. Between stages that is cheap
and, from the same state, gives the same; a stage itself goes on from the newest checkpoint that was made in it, or is
skipped where its end was kept. A checkpoint counts only if the stage begins now in the very state in which it began
when the checkpoint was made, and if the sparsifier has declared what its callbacks keep; else the stage is trained.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from msbench.training.start import PlainStage, untouched
from msbench.training.state import State, any_hooked, put, state_of, structure
from msbench.training.stateful import HasState, declared, pack, unpack
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


class Checkpoints(Protocol):
    """Where one run's checkpoints are kept: by name, each there whole or not at all."""

    def due(self) -> bool:
        """Whether the state should be kept in the middle of a stage now."""

    def worth(self, seconds: float) -> bool:
        """Whether the end of a stage that took so long should be kept."""

    def load(self, name: str) -> State | None:
        """The checkpoint of this name; None if there is none, or it is damaged or another run's."""

    def save(self, name: str, state: State) -> bool:
        """Keep a state, in place of an older one of this name; whether it is there now. Failing is no error."""

    def drop(self, name: str) -> None:
        """Forget a checkpoint."""

    def note(self, line: str) -> None:
        """Tell whoever reads the run's log why a checkpoint is not made, or not used."""


class Stage:
    """One stage of `count` steps. Iterating over it gives the indices of the steps that must still be taken.

    schedule: of the learning rate, or whatever else tells this kind of training from others.
    hooks: the sparsifier's callbacks, None where there is none. state: what they keep, as the sparsifier declared it;
    None: not declared. own: state that the host keeps in this stage. plain: whether it may be a shared start.
    """

    def __init__(
        self,
        trainer: Trainer,
        count: int,
        schedule: str,
        hooks: Collection[object],
        state: object,
        own: tuple[HasState, ...] = (),
        plain: bool = True,
    ) -> None:
        trainer.stages += 1
        self._trainer, self._count, self._number = trainer, count, trainer.stages
        callbacks = any(hook is not None for hook in hooks)
        silent = not callbacks and type(trainer.view) is View and not any_hooked(trainer)
        kept = declared(state)
        self._parts = own if silent else (*own, *kept)
        self._checkpoints = trainer.checkpoints if count else None
        self._whole = state is not None or silent
        """Whether a checkpoint made here would be complete."""
        self._plain: PlainStage | None = None
        shared = plain and not callbacks and count > 0 and trainer.starts is not None and untouched(trainer)
        self._about: dict[str, Any] = {"number": self._number, "of": count, "schedule": schedule}
        if shared or self._checkpoints is not None:
            self._view, self._structure = trainer.view, structure(trainer)
            self._about["beginning"] = self._state(structure=self._structure).digest()
        if shared and trainer.starts is not None:
            self._plain = PlainStage(trainer.starts, count, schedule, self._about["beginning"])
        self._before, self._since = 0.0, time.perf_counter()

    def __iter__(self) -> Iterator[int]:
        done = resumed = self._resume()
        while done < self._count:
            yield done
            done += 1
            if done < self._count:
                self._passed(done)
        # gradients do not outlive a stage, so that a checkpoint of its end needs none
        self._trainer.optimizer.zero_grad()
        self._trainer.history.check()
        if resumed < self._count:
            self._ended()

    @property
    def seconds(self) -> float:
        """Of training in this stage, by whatever process."""
        return self._before + time.perf_counter() - self._since

    # -- going on ------------------------------------------------------------------------------------------------

    def _resume(self) -> int:
        """Go on from the latest state that is kept; how many steps it has."""
        trainer = self._trainer
        own, start = self._stored(), self._plain.find() if self._plain is not None else None
        done = own.facts["done"] if own is not None else 0
        if start is not None and start.facts["step"] > done:
            put(trainer, start)
            done, trainer.shared_seconds = start.facts["step"], start.facts["seconds"]
            self._before = start.facts["seconds"]
        elif own is not None:
            put(trainer, own)
            trainer.shared_seconds, self._before = own.facts["shared"], own.facts["seconds"]
            for part, packed in zip(self._parts, own.facts["declared"], strict=True):
                part.load_state_dict(unpack(packed, own.tensors))
        if done and trainer.on_evaluation is not None:
            trainer.on_evaluation(trainer.history)
        self._since = time.perf_counter()
        return int(done)

    def _stored(self) -> State | None:
        """This stage's end, or else its newest checkpoint."""
        if self._checkpoints is None or not self._whole:
            return None
        for name in (self._end, self._middle):
            found = self._checkpoints.load(name)
            if found is not None and found.facts["stage"] == self._about:
                return found
            if found is not None:
                self._checkpoints.note(f"{name} is not used: the stage begins in another state now")
        return None

    # -- keeping -------------------------------------------------------------------------------------------------

    def _passed(self, done: int) -> None:
        if self._plain is not None and self._plain.wanted(done, self._trainer):
            self._keep_start()
        if self._checkpoints is not None and self._checkpoints.due() and self._complete():
            self._checkpoints.save(self._middle, self._checkpoint(done))

    def _ended(self) -> None:
        kept = self._plain is not None and self._plain.wanted(self._count, self._trainer) and self._keep_start()
        if self._checkpoints is None:
            return
        if not kept and self._checkpoints.worth(self.seconds) and self._complete():
            kept = self._checkpoints.save(self._end, self._checkpoint(self._count))
        if kept:
            self._checkpoints.drop(self._middle)

    def _keep_start(self) -> bool:
        assert self._plain is not None
        return self._plain.save(state_of(self._trainer).copied(seconds=self.seconds))

    def _complete(self) -> bool:
        """Whether everything that has changed in this stage is known to us."""
        if self._checkpoints is None:
            return False
        view, reason = self._trainer.view, ""
        if not self._whole:
            reason = "its callbacks' state is not declared: trainer.train(…, state=…)"
        elif structure(self._trainer) != self._structure:
            reason = "a callback changed modules, modes or hooks of the network"
        elif view is not self._view and type(view) is not View:
            reason = "a callback set another view"
        if reason:
            self._checkpoints.note(f"stage {self._number} would be trained again if the run were killed: {reason}")
            self._checkpoints = None
        return not reason

    def _checkpoint(self, done: int) -> State:
        about = {"stage": self._about, "done": done, "seconds": self.seconds, "shared": self._trainer.shared_seconds}
        return self._state().copied(**about)

    def _state(self, **facts: Any) -> State:
        """The trainer's state now and what was declared; tensors are not copied."""
        state, tensors = state_of(self._trainer), dict[str, Tensor]()
        packed = [pack(part, f"declared.{index}", tensors) for index, part in enumerate(self._parts)]
        return State({**state.tensors, **tensors}, {**state.facts, "declared": packed, **facts})

    @property
    def _middle(self) -> str:
        return f"stage-{self._number}-part"

    @property
    def _end(self) -> str:
        return f"stage-{self._number}"
