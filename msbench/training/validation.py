"""Validation during training: when it is due, and the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from msbench.errors import DivergedError
from msbench.training.checkpoint import Checkpoint, Snapshot
from msbench.training.evaluate import Evaluation, evaluate
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


class Validation:
    """Evaluates each time another share of the allowance is spent and keeps the best weights."""

    def __init__(self, evaluations: int) -> None:
        self._evaluations, self._done = evaluations, 0
        self.best = Checkpoint()

    def forget(self) -> None:
        """Checkpoints made so far no longer count (the mask has changed)."""
        self.best = Checkpoint()

    def when_due(self, trainer: Trainer) -> None:
        """Evaluate if another share of the allowance is spent."""
        due = int(trainer.allowance.progress * self._evaluations + 1e-9)
        if due > self._done:
            self._done = due
            self.evaluate(trainer)

    def evaluate(self, trainer: Trainer) -> Evaluation:
        """Evaluate, log it, and keep these weights if they are the best under this mask."""
        trainer.history.check()
        with weights_in_use(trainer):
            result = _evaluated(trainer)
        for task, metrics in result.metrics.items():
            for name, value in metrics.items():
                trainer.log(f"validation/{task}/{name}", value)
        score = result.score(trainer.loss_floor)
        trainer.log("validation/score", score)
        if trainer.objective is None:
            for task, weight in trainer.balancer.weights().items():
                trainer.log(f"loss_weight/{task}", weight)
        if math.isnan(score):
            raise DivergedError(f"the validation loss is not a number after {trainer.allowance.spent} samples")
        self.best.offer(score, trainer)
        if trainer.on_evaluation is not None:
            trainer.on_evaluation(trainer.history)
        return result

    def facts(self) -> dict[str, float]:
        """What `restore` needs, but for the best snapshot."""
        return {"done": self._done, "score": self.best.score, "step": self.best.step}

    def restore(self, facts: Mapping[str, float], best: Snapshot | None) -> None:
        """Go on from the validation of an earlier training."""
        self._done = int(facts["done"])
        self.best = Checkpoint(facts["score"], int(facts["step"]), best)

    def finish(self, trainer: Trainer) -> None:
        """Go to the best checkpoint under the final mask."""
        if self.best.step != trainer.history.step:
            self.evaluate(trainer)
        self.best.restore(trainer)


def _evaluated(trainer: Trainer) -> Evaluation:
    """Of the first process where there are several, for they must decide alike."""

    def own() -> dict[str, Any]:
        return vars(evaluate(trainer.model, trainer.validation_samples, trainer.tasks, trainer.device))

    return Evaluation(**(own() if trainer.split is None else trainer.split.ranks.of_first(own)))


@contextmanager
def weights_in_use(trainer: Trainer) -> Iterator[None]:
    """The model holds the weights that the trainer's view makes of its own; afterwards its own again."""
    if type(trainer.view) is View:
        yield
        return
    with torch.no_grad():
        parameters = dict(trainer.model.named_parameters())
        used = trainer.view.weights(dict(parameters))
        kept = {name: p.detach().clone() for name, p in parameters.items() if used[name] is not p}
        for name in kept:
            parameters[name].copy_(used[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                parameters[name].copy_(value)
