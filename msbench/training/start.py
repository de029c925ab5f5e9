"""Shared starts: training that several runs have in common is done once.

Many methods first train plainly for some steps. For one seed, data, model and settings these steps are the same,
whatever comes after them, so their complete state is kept and the next run goes on from it. With the schedule of the
whole run, a shorter start is part of every longer one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from msbench.training.checkpoint import Snapshot
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer

Plain = Mapping[str, Any]
"""What of a plain first stage decides its numbers beside the run's configuration, as plain JSON."""


@dataclass(frozen=True)
class Start:
    """The complete state of training after some plain steps.

    tensors: weights, buffers, the optimizer's moments, loss weights, the data stream, generators, the best checkpoint.
    facts: the rest as plain JSON: `step`, history, allowance, validation, `seconds` of training.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Starts(Protocol):
    """Where starts are kept."""

    @property
    def keep(self) -> Collection[int]:
        """Steps after which a plain first stage is kept although it goes on: other runs end theirs there."""

    def find(self, plain: Plain, steps: int) -> Start | None:
        """The longest start of at most so many steps."""

    def save(self, plain: Plain, start: Start) -> None:
        """Keep a start; what cannot be kept is no error."""


class PlainStage:
    """A plain first stage of `count` steps: where it begins, and what is kept of it."""

    def __init__(self, trainer: Trainer, starts: Starts, count: int, schedule: str) -> None:
        self._trainer, self._starts, self._count = trainer, starts, count
        self._plain: Plain = {"schedule": schedule, "beginning": beginning(trainer)}
        if schedule != "run":
            self._plain = {**self._plain, "steps": count}
        self._since = time.perf_counter()

    def resume(self) -> int:
        """Go on from the longest start that is kept; how many steps it has."""
        found = self._starts.find(self._plain, self._count)
        if found is not None:
            put(self._trainer, found)
            if self._trainer.on_evaluation is not None:
                self._trainer.on_evaluation(self._trainer.history)
        self._since = time.perf_counter()
        return self._trainer.history.step

    def passed(self, steps: int) -> None:
        """Keep the state where somebody can go on from it: this stage's end, or what other runs need."""
        trainer = self._trainer
        over = trainer.allowance.left < trainer.settings.batch
        if (steps == self._count or steps in self._starts.keep) and not over:
            seconds = trainer.shared_seconds + time.perf_counter() - self._since
            self._starts.save(self._plain, take(trainer, seconds))


def plain_stage(trainer: Trainer, count: int, schedule: str, hooks: Collection[object]) -> PlainStage | None:
    """The stage, if it is the first thing that happens to the network and nothing but plain training happens in it."""
    if trainer.starts is None or count == 0 or any(hook is not None for hook in hooks) or _touched(trainer):
        return None
    return PlainStage(trainer, trainer.starts, count, schedule)


def _touched(trainer: Trainer) -> bool:
    fresh = torch.Generator().manual_seed(trainer.seed).get_state()
    return (
        trainer.allowance.spent > 0
        or bool(trainer.history.rows)
        or trainer.mask is not None
        or type(trainer.view) is not View
        or not torch.equal(trainer.generator.get_state(), fresh)
        or any(_hooked(module) for module in (*trainer.model.modules(), *trainer.balancer.modules()))
    )


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or any(parameter._backward_hooks for parameter in module.parameters(recurse=False))


def beginning(trainer: Trainer) -> str:
    """SHA-256 of the network and the loss weights before training: structure, modes and every number."""
    digest = hashlib.sha256()
    for module in (trainer.model, trainer.balancer):
        modes = [part.training for part in module.modules()]
        trained = [parameter.requires_grad for parameter in module.parameters()]
        digest.update(repr((repr(module), modes, trained)).encode())
        for name, value in module.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def take(trainer: Trainer, seconds: float) -> Start:
    """The trainer's state now, in copies. seconds: of training that led here."""
    best = trainer._validation.best.snapshot
    found = {
        **_named("model", trainer.model.state_dict()),
        **_named("balancer", trainer.balancer.state_dict()),
        **_named("optimizer", trainer.optimizer.tensors()),
        **_named("stream", trainer._stream.state()),
        **{f"random.{index}": state for index, state in enumerate(trainer._randomness.states)},
        **(_named("best", best.tensors()) if best is not None else {}),
    }
    history = trainer.history
    facts = {
        "step": history.step,
        "samples": history.samples,
        "spent": trainer.allowance.spent,
        "rows": [list(row) for row in history.rows],
        "validation": trainer._validation.facts(),
        "seconds": seconds,
    }
    copies = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in found.items()}
    return Start(copies, facts)


def put(trainer: Trainer, start: Start) -> None:
    """Make the trainer what it was when the start was taken."""
    tensors, facts = start.tensors, start.facts
    trainer.model.load_state_dict(_part("model", tensors))
    trainer.balancer.load_state_dict(_part("balancer", tensors))
    trainer.optimizer.load(_part("optimizer", tensors))
    trainer._stream.load(_part("stream", tensors))
    trainer._randomness.states = list(_part("random", tensors).values())
    best = _part("best", tensors)
    trainer._validation.restore(facts["validation"], Snapshot.of(best, trainer.device) if best else None)
    trainer.history.restore(facts["step"], facts["samples"], [(*row[:3], float(row[3])) for row in facts["rows"]])
    trainer.allowance.spent = facts["spent"]
    trainer.shared_seconds = facts["seconds"]


def _named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{name}": value for name, value in tensors.items()}


def _part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in sorted(tensors.items()) if name.startswith(prefix)}
