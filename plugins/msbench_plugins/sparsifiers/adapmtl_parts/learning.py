"""How the thresholds learn: Adam with decay, the stop rule, and settling."""

from __future__ import annotations

import math

import torch

from msbench.api import Stateful, Step, Trainer, View
from msbench_plugins.sparsifiers.adapmtl_parts.thresholds import SoftThresholds, budget_shares, scores_with_shares

BETAS = (0.5, 0.999)
"""Of Adam, as in the official code."""
TRAVEL = {"budget": 12.0, "natural": 6.0}
"""How far a whole stage can move θ at Adam's full pace, from -8.3 where nothing is removed. At -3 everything is: under
a budget the stop rule comes before, otherwise only the loss, so that there the pace must leave it time."""
REACH = 0.8
"""Share of the stage after which steering wants the target."""
INTEGRAL = 10.0
"""Weight of the lag so far (its integral over the stage) beside the lag now."""
COUNTS = 200
"""How often a stage counts zeros, at most: counting costs a pass over the weights."""
LARGEST_EXPONENT = 20.0


class ThresholdLearning(Stateful):
    """Adam on θ from dL/dθ + decay θ. θ is negative, so decay raises it, and with it α and the sparsity.

    Under a budget the decay is steered: it grows by exp(steer * lag) where the sparsity lags behind a line from 0
    to the target, and falls where it is ahead. θ freezes when the target is met (stop rule), the mask with it.
    """

    changes = ("thresholds", "adam", "lag", "counted", "settled")

    def __init__(self, trainer: Trainer, thresholds: SoftThresholds, steps: int, decay: float, steer: float) -> None:
        self.trainer, self.thresholds, self.steps = trainer, thresholds, max(steps, 1)
        pace = TRAVEL["natural" if trainer.budget.natural else "budget"] / self.steps
        self.adam = torch.optim.Adam([thresholds.theta], lr=pace, betas=BETAS, weight_decay=decay)
        self.decay, self.steer = decay, steer
        self.every = math.ceil(self.steps / COUNTS)
        self.lag = 0.0
        self.counted = thresholds.theta.detach().clone()
        self.settled = False

    def step(self, step: Step) -> None:
        """θ <- Adam(dL/dθ + decay θ), after the optimizer's step on the weights; then the stop rule."""
        if self.settled:
            return
        self.adam.step()
        self.adam.zero_grad()
        if (step.index + 1) % self.every and not step.last:
            return
        sparsity = self._count()
        target = self.trainer.budget.target
        if target is None:
            return
        if sparsity >= target:
            self._retreat(target)
            self.settle()
        elif self.steer:
            self._steer((step.index + 1) / (REACH * self.steps) - sparsity / target)
        self.counted = self.thresholds.theta.detach().clone()

    def _count(self) -> float:
        """Sparsity of S(W, α) over the scope, logged with each threshold and its own sparsity."""
        zeros = self.thresholds.zeros()
        alphas = self.thresholds.theta.detach().sigmoid().tolist()
        for name, alpha, count, size in zip(self.thresholds.names, alphas, zeros, self.thresholds.sizes, strict=True):
            self.trainer.log(f"threshold/{name}", alpha)
            self.trainer.log(f"sparsity/{name}", count / size)
        sparsity = sum(zeros) / self.trainer.groups.weights
        self.trainer.log("sparsity", sparsity)
        self.trainer.log("threshold_decay", self.adam.param_groups[0]["weight_decay"])
        return sparsity

    def _steer(self, behind: float) -> None:
        """Decay for the next steps: in proportion to how far behind the sparsity is, and for how long."""
        # time ahead saves up nothing, or decay could not recover when the sparsity stops rising by itself
        self.lag = max(0.0, self.lag + behind * self.every / self.steps)
        exponent = self.steer * (behind + INTEGRAL * self.lag)
        limited = max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, exponent))
        self.adam.param_groups[0]["weight_decay"] = self.decay * math.exp(limited)

    @torch.no_grad()
    def _retreat(self, target: float) -> None:
        """Take back as much of the way since the last count as leads beyond the target."""
        theta = self.thresholds.theta
        way = theta.detach() - self.counted
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            enough = sum(self.thresholds.zeros(self.counted + middle * way)) >= target * self.trainer.groups.weights
            low, high = (low, middle) if enough else (middle, high)
        theta.copy_(self.counted + high * way)

    @torch.no_grad()
    def settle(self) -> None:
        """Freeze: W <- S(W, α), then the exact selection, each threshold group keeping its share of the zeros."""
        if self.settled:
            return
        self.settled = True
        trainer, thresholds = self.trainer, self.thresholds
        scores = self._scores()
        latent = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
        used = thresholds.weights(dict(trainer.model.named_parameters()))
        for name, weight in trainer.weights.items():
            weight.copy_(used[f"{name}.weight"])
        trainer.view = View()
        trainer.settle(scores, before=latent)
        trainer.log("thresholds_frozen", trainer.allowance.progress)

    def _scores(self) -> dict[str, torch.Tensor]:
        """Each weight (or group) by its size over its threshold's unit; what is dead ranks too."""
        thresholds = self.thresholds
        layers = thresholds.groups.layers
        sizes = [thresholds.magnitudes(layer.name) / u for layer, u in zip(layers, thresholds.unit, strict=True)]
        zeros = thresholds.zeros()
        target = self.trainer.budget.target
        capacity = sum(zeros) if target is None else round(target * thresholds.groups.weights)
        shares = budget_shares(zeros, thresholds.sizes, capacity)
        weights = [layer.weights for layer in layers]
        scores = scores_with_shares(sizes, thresholds.index.tolist(), weights, shares)
        return {layer.name: score for layer, score in zip(layers, scores, strict=True)}
