"""Algorithm 3 as published: proximal meta-update of the weights, gradient update of λ, regrowth."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from msbench.api import Episode, Stateful, Step, Trainer
from msbench_plugins.sparsifiers.meta.lambdas import Lambda, Per, stages
from msbench_plugins.sparsifiers.meta.operators import OPERATORS, Metric, Penalty
from msbench_plugins.sparsifiers.meta.regrowth import LastAlive, Units, revive

Learn = Literal["direct", "hyper", "none"]
ADAPTIVE_RHO = -7.0
"""Start of ρ in Adam's metric, λ = 9e-4: there λ is compared with raw gradients, and U(0.1, 1) empties the network."""


class Proximal(Stateful):
    """Θ <- prox(Θ) and ρ <- ρ - lr_lambda sigmoid(ρ) dJ/dλ (by Adam) after every outer step.

    dJ/dλ is, by `learn`, R(Θ) = Σ √n ‖θ‖, the derivative of eq. 10, never negative (direct); the derivative of the
    query loss through the last proximal step, lr Σ <dL_query/dθ, dθ/dthreshold> (hyper); or not used (none).
    """

    changes = ("operators", "lam", "alive", "lr", "thresholds", "last_alive", "scores")

    def __init__(
        self,
        trainer: Trainer,
        learn: Learn = "direct",
        penalty: Penalty = "group",
        metric: Metric = "euclidean",
        per: Per = "network",
        rho: float | None = None,
        lr_lambda: float = 100.0,
        regrow_p: float = 0.0,
    ) -> None:
        self.trainer, self.learn, self.lr_lambda, self.regrow_p = trainer, learn, lr_lambda, regrow_p
        weights = trainer.weights
        self.layers = stages(list(weights), per)
        make = OPERATORS[penalty, metric]
        self.operators = {
            stage: make([weights[name] for name in names], trainer.optimizer.second_moment)
            for stage, names in self.layers.items()
        }
        self.lam = Lambda(trainer, list(self.layers), ADAPTIVE_RHO if rho is None and metric == "adaptive" else rho)
        self.alive: Units = self._named({stage: operator.alive() for stage, operator in self.operators.items()})
        self.revived: Units = {}
        self.lr, self.thresholds = 0.0, dict[str, float]()
        self.slopes: dict[str, list[Tensor]] = {}
        self.last_alive = None if trainer.budget.natural else LastAlive(trainer, self.alive)
        self.scores: Units = {}

    # -- one episode -----------------------------------------------------------------------------------------------

    def regrow(self) -> None:
        """Dead units come back in the meta-weights, so that the episode, and all that follow, have them."""
        if self.regrow_p > 0:
            dead = {name: ~alive for name, alive in self._present().items()}
            found = revive(self.trainer, dead, self.regrow_p)
            self.revived = {name: units | self.revived.get(name, units) for name, units in found.items()}

    def observe(self, episode: Episode) -> None:
        """Hyper: what the episode's query loss says of the last proximal step."""
        for stage in self.thresholds if self.learn == "hyper" else ():
            for name, weight in zip(self.layers[stage], self.operators[stage].weights, strict=True):
                gradient = episode.gradients.get(f"{name}.weight")
                if gradient is not None:
                    slopes = self.operators[stage].slopes(weight, gradient, self.thresholds[stage])
                    # a unit that has regrown since did not come out of that step
                    self.slopes.setdefault(name, []).append((slopes * self.alive[name]).sum())

    # -- one outer step --------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Θ <- prox(Θ), then ρ; both from what was known before the step."""
        lam, hyper = self.lam.values(), self._hypergradients()
        if self.last_alive is not None:
            self.last_alive.note(step.index, self._present())
        if step.last:
            self.scores = self._scores(lam)
        penalties: dict[str, Tensor] = {}
        for stage, operator in self.operators.items():
            self.thresholds[stage] = step.lr * lam[stage]
            penalties[stage] = operator.shrink(self.thresholds[stage])
        self.alive = self._named({stage: operator.alive() for stage, operator in self.operators.items()})
        self.lr, self.revived, self.slopes = step.lr, {}, {}

        found = dict(zip(penalties, torch.stack(list(penalties.values())).tolist(), strict=True))
        if self.learn == "direct":
            self.lam.move(found, self.lr_lambda * step.lr)
        elif self.learn == "hyper":
            self.lam.move(hyper, self.lr_lambda * step.lr)
        self.lam.log()
        self.trainer.log("penalty", sum(found.values()))
        self.trainer.log("sparsity", self._sparsity())

    def settle(self) -> None:
        """The zeros of Θ are the pattern; a budget ranks units by the λ at which they die."""
        if self.last_alive is None:
            self.trainer.settle(self.scores)
        else:
            self.trainer.settle(self.last_alive.rank(self.scores, self.alive), before=self.last_alive.weights)

    def _hypergradients(self) -> dict[str, float]:
        """dL_query/dλ by stage through the last proximal step: mean over the episodes that have the layer."""
        found = dict.fromkeys(self.layers, 0.0)
        for stage, names in self.layers.items():
            means = [torch.stack(self.slopes[name]).mean() for name in names if name in self.slopes]
            if means:
                found[stage] = self.lr * float(torch.stack(means).sum())
        return found

    def _scores(self, lam: dict[str, float]) -> Units:
        """Before the proximal step: the factor on every λ at which a unit would die."""
        return self._named(
            {
                stage: [score / max(lam[stage], 1e-30) for score in operator.scores()]
                for stage, operator in self.operators.items()
            }
        )

    def _present(self) -> Units:
        """Units that came alive out of the last proximal step, or have regrown since."""
        return {name: alive | self.revived[name] if self.revived else alive for name, alive in self.alive.items()}

    def _named(self, values: dict[str, list[Tensor]]) -> Units:
        return {n: v for stage, names in self.layers.items() for n, v in zip(names, values[stage], strict=True)}

    def _sparsity(self) -> float:
        """Share of weights in dead units."""
        removed = [
            (~self.alive[layer.name]).sum() * (layer.weights // self.alive[layer.name].numel())
            for layer in self.trainer.groups.layers
        ]
        return int(torch.stack(removed).sum()) / self.trainer.groups.weights
