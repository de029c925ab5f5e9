"""λ as the multiplier of a constraint on the share of sensitivity that may be removed."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from msbench.api import Episode, Stateful, Step, Trainer

DECAY = 0.99
"""Of the running mean of the saliency."""
ROOT = 0.25
"""Exponent that evens the saliencies out before they are added up."""


class SaliencyShare(Stateful):
    """Saliency of the groups over episodes, and the λ below which they go.

    Saliency of a group in one episode, from the outer gradient and the dense weights:
        s_g = mean over the group of |θ dL/dθ|,   divided by its weighted mean, so that every episode weighs the same
    S_g is the running mean of s_g over episodes and u_g = (S_g / mean S)^(1/4). λ is the multiplier of the constraint
        share(λ) = Σ_{u_g <= λ} n_g u_g / Σ_g n_g u_g  <=  φ
    a staircase in λ, so its root is found exactly by sorting, after every outer step: λ has no start and no step size.

    The root makes the level steady; it does not change the order of the groups. With S itself (or the Fisher form, its
    square) the level hangs on how heavy the tail of few sensitive groups is, which differs between seeds and networks
    and grows shorter as training goes on; see docs/explanation/learning-lambda.md.
    The mask is applied once, when λ has been learned: applied earlier, what stays takes over from what went, its
    saliency grows, and the level creeps up for as long as training lasts.
    """

    changes = ("lam", "level", "saliency", "seen")

    def __init__(self, trainer: Trainer, phi: float) -> None:
        self.trainer, self.phi = trainer, phi
        self.lam, self.level = 0.0, 0.0
        self.sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        self.saliency = {name: torch.zeros(w.shape[1], device=w.device) for name, w in trainer.weights.items()}
        self.seen = Counter[str]()

    def observe(self, episode: Episode) -> None:
        """S <- running mean of the normalised saliency.

        Where the budget counts heads, an episode says nothing of the heads that it does not have.
        """
        found = {}
        for name, weight in self.trainer.weights.items():
            gradient = episode.gradients.get(f"{name}.weight")
            if gradient is not None:
                found[name] = (gradient * weight.detach()).abs().transpose(0, 1).flatten(1).mean(1)
        weights = sum(self.sizes[name] * len(s) for name, s in found.items())
        mean = torch.stack([self.sizes[name] * s.sum() for name, s in found.items()]).sum() / weights
        for name, s in found.items():
            self.seen[name] += 1
            self.saliency[name].lerp_(s / mean.clamp_min(1e-30), max(1.0 - DECAY, 1.0 / self.seen[name]))

    def step(self, step: Step) -> None:
        """λ for the saliency as it is now."""
        self.lam, self.level, share = self.solve(self.scores())
        self.trainer.log("lambda", self.lam)
        self.trainer.log("saliency_share", share)
        self.trainer.log("sparsity_of_lambda", self.level)
        self.trainer.log("sparsity", 0.0)

    def scores(self) -> dict[str, Tensor]:
        """u_g, by layer [I]."""
        total = sum(self.sizes[name] * len(s) for name, s in self.saliency.items())
        mean = torch.stack([self.sizes[n] * s.sum() for n, s in self.saliency.items()]).sum() / total
        return {name: (s / mean.clamp_min(1e-30)).pow(ROOT) for name, s in self.saliency.items()}

    def solve(self, scores: dict[str, Tensor]) -> tuple[float, float, float]:
        """The greatest λ whose share is at most φ; the share of weights at or below it, and of sensitivity."""
        u = torch.cat([score.double() for score in scores.values()])
        n = torch.cat([torch.full_like(u[: len(s)], self.sizes[name]) for name, s in scores.items()])
        order = torch.sort(u, stable=True).indices
        held = (n * u)[order].cumsum(0)
        inside = int((held <= self.phi * held[-1]).sum())
        if inside == 0:
            return 0.0, 0.0, 0.0
        lam, share = u[order[inside - 1]], held[inside - 1] / held[-1]
        return float(lam), float(n[order[:inside]].sum() / n.sum()), float(share)

    def settle(self) -> None:
        """What λ removes is the pattern, but for the best group of every layer; a budget ranks groups by u_g."""
        scores = self.scores()
        dense = {name: weight.detach().clone() for name, weight in self.trainer.weights.items()}
        with torch.no_grad():
            for name, weight in self.trainer.weights.items():
                kept = scores[name] > self.lam
                kept[scores[name].argmax()] = True
                weight[:, ~kept] = 0
        self.trainer.settle(scores, before=dense)
