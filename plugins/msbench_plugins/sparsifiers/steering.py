"""A proximal step after each optimizer step, with a λ that is steered to the budget while training."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from msbench.api import Stateful, Step, Trainer

Prox = Callable[[float, float], object]
"""Shrinks the prunable weights in place; from the learning rate of the step and λ."""


class Steering(Stateful):
    """Moves log λ, while training, by `gain` a step times the distance to the target.

    The target rises linearly over the first `share` of the allowance: weights die late and together, so that a target
    at full height from the start overshoots to an empty network. Under a natural budget, or with a gain of 0, λ stays.
    """

    changes = ("lam",)

    def __init__(self, trainer: Trainer, lam: float, gain: float, share: float) -> None:
        self.trainer, self.lam, self.gain, self.share = trainer, lam, gain, share

    def move(self, sparsity: float) -> None:
        """λ <- λ exp(gain (wanted - sparsity)); both are logged."""
        self.trainer.log("lambda", self.lam)
        self.trainer.log("sparsity", sparsity)
        target = self.trainer.budget.target
        if target is not None:
            wanted = target * min(1.0, self.trainer.allowance.progress / self.share)
            self.lam *= math.exp(self.gain * (wanted - sparsity))


class ProximalTraining(Stateful):
    """The proximal steps and what settling needs: scores and weights from before the last of them.

    score: from a layer's name and weight, what settling ranks: [I] for groups, the weight's shape for single weights.
    structured: whether whole groups are counted as sparsity, or single weights.
    """

    changes = ("steering", "scores", "before")

    def __init__(
        self,
        trainer: Trainer,
        steering: Steering,
        prox: Prox,
        score: Callable[[str, Tensor], Tensor],
        structured: bool = True,
    ) -> None:
        self.trainer, self.steering, self.structured = trainer, steering, structured
        self._prox, self._score = prox, score
        self.scores: dict[str, Tensor] = {}
        self.before: dict[str, Tensor] = {}

    def shrink(self, step: Step) -> None:
        """w <- prox(w), after the optimizer's step."""
        if step.last:
            self.before = {name: weight.detach().clone() for name, weight in self.trainer.weights.items()}
            self.scores = {name: self._score(name, weight) for name, weight in self.before.items()}
        self._prox(step.lr, self.steering.lam)
        self.steering.move(self.trainer.sparsity(self.structured))

    def settle(self) -> None:
        """Freeze the mask; what comes back gets the value that it had before the last proximal step."""
        self.trainer.settle(self.scores, before=self.before)
