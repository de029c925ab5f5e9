"""A criterion as a subject: scores on the toy problem, watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from msbench.conformance.runs import toy_trainer
from msbench.conformance.subject import Subject
from msbench.conformance.watch import Watch, watched_forwards, watched_generators
from msbench.errors import UserError
from msbench.training.trainer import Trainer

State = dict[str, Tensor]


@dataclass
class Scored:
    """Scores of groups and of single weights (None where there are none), and what scoring did besides."""

    trainer: Trainer
    before: State
    groups: Mapping[str, Tensor]
    elements: Mapping[str, Tensor] | None
    spent: int
    watch: Watch


@dataclass
class CriterionSubject(Subject):
    """A criterion, and the scores that its rules have asked for so far."""

    _found: dict[int, Scored] = field(default_factory=dict)

    def scored(self, attempt: int = 0) -> Scored:
        """Scores after two training steps; equal attempts are made once."""
        if attempt not in self._found:
            self._found[attempt] = self._score(self.create())
        return self._found[attempt]

    def attempt(self, instance: Any) -> None:
        self._score(instance)

    def _score(self, criterion: Any) -> Scored:
        trainer, watch = toy_trainer(self.plugins), Watch()
        trainer.train(steps=2)
        trainer.optimizer.zero_grad()
        before, spent = state_of(trainer), trainer.allowance.spent
        elements = None
        with watched_generators(watch), watched_forwards(trainer.model, watch):
            groups = criterion.score(trainer)
            try:
                elements = criterion.score_elements(trainer)
            except UserError:
                elements = None
        return Scored(trainer, before, groups, elements, trainer.allowance.spent - spent, watch)


def state_of(trainer: Trainer) -> State:
    """Weights and buffers, gradients, and what is in train mode."""
    model = trainer.model
    found = {name: value.clone() for name, value in model.state_dict().items()}
    found |= {f"gradient of {n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return found | {f"train mode of {n}": torch.tensor(m.training) for n, m in model.named_modules()}
