"""Snapshots of a network in training, and the best one so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer

PARTS = ("model", "balancer")


@dataclass(frozen=True)
class Snapshot:
    """Copies of a model's and a balancer's state."""

    model: dict[str, Tensor]
    balancer: dict[str, Tensor]

    @classmethod
    def take(cls, model: nn.Module, balancer: nn.Module) -> Snapshot:
        return cls(*({name: value.clone() for name, value in m.state_dict().items()} for m in (model, balancer)))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> Snapshot:
        """From what `state_dict` gave."""
        found = cls({}, {})
        found.load_state_dict({name: value.to(device) for name, value in tensors.items()})
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """Both states as one mapping."""
        return {f"{part}.{name}": value for part in PARTS for name, value in getattr(self, part).items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Become the snapshot whose `state_dict` this is."""
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            getattr(self, part)[rest] = value.clone()

    def put(self, model: nn.Module, balancer: nn.Module) -> None:
        """Copy the state back, in place."""
        model.load_state_dict(self.model)
        balancer.load_state_dict(self.balancer)


@dataclass
class Checkpoint:
    """The snapshot with the lowest validation score; ties go to the later one."""

    score: float = field(default=float("inf"))
    step: int = -1
    """Step of the newest offer."""
    snapshot: Snapshot | None = None

    def offer(self, score: float, trainer: Trainer) -> None:
        """Keep the trainer's weights if `score` is at least as good as the best."""
        self.step = trainer.history.step
        if score <= self.score:
            self.score, self.snapshot = score, trainer.snapshot()

    def restore(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if self.snapshot is not None:
            self.snapshot.put(trainer.model, trainer.balancer)
