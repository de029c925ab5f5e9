"""λ as the multiplier of a constraint on the share of query saliency that may be removed."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from msbench.api import Episode, Step, Trainer, View, Weights, group_norms

START = 0.3
"""First λ. It is fitted while the network is still dense, so the level does not depend on it."""
WARMUP = 0.2
"""Share of the λ steps during which λ is fitted but removes nothing."""
DECAY = 0.99
"""Of the running mean of the saliency."""
RATES = (0.1, 0.02)
"""Dual step on log λ, during and after the warm-up."""


class SaliencyShare(View):
    """Latent dense weights θ, the weights W that the network uses, and λ between them.

    Saliency of a group, per episode, from the gradient of the query loss at the adapted weights:
        F_g = mean over the group of (dL_query/dW · θ)²,   f_g = F_g / weighted mean of F
    S_g is the running mean of f_g over episodes, u_g = sqrt(S_g / mean S) and
        W_g = θ_g [u_g > λ],  rescaled so that each layer keeps its norm (batch-norm makes that function-preserving)
    λ follows the dual ascent  log λ += η (φ - share) / (φ + share),  share(λ) = saliency in groups with u_g <= λ.
    Under a budget the same ascent steers on the removed share of weights instead, and settling is exact.
    """

    def __init__(self, trainer: Trainer, phi: float, steps: int) -> None:
        self.trainer, self.phi, self.steps = trainer, phi, steps
        self.warmup = round(WARMUP * steps)
        self.lam, self.count = START, 0
        self.sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        self.total = trainer.groups.weights
        self.saliency = {layer.name: torch.zeros(layer.count) for layer in trainer.groups.layers}
        self.seen = Counter[str]()
        self.kept: dict[str, Tensor] = {}
        self.votes = {layer.name: torch.zeros(layer.count) for layer in trainer.groups.layers}

    # -- the view of the weights that meta-training uses -----------------------------------------------------------

    def weights(self, parameters: Weights) -> Weights:
        """W from θ: dead groups zeroed, each layer's norm restored."""
        used = dict(parameters)
        for name, kept in self.kept.items():
            latent = parameters[f"{name}.weight"]
            masked = latent * _wide(kept, latent)
            used[f"{name}.weight"] = masked * (latent.norm() / masked.norm().clamp_min(1e-12))
        return used

    def constrain(self, gradients: Weights) -> Weights:
        """Inner steps leave dead groups dead."""
        held = dict(gradients)
        for name, kept in self.kept.items():
            if f"{name}.weight" in held:
                held[f"{name}.weight"] = held[f"{name}.weight"] * _wide(kept, held[f"{name}.weight"])
        return held

    # -- what one episode and one outer step add -------------------------------------------------------------------

    def observe(self, episode: Episode) -> None:
        """S <- running mean of the normalised saliency; every episode weighs the same.

        Where the budget counts heads, an episode says nothing of the heads that it does not have.
        """
        found = {}
        for name, latent in self.trainer.weights.items():
            if f"{name}.weight" in episode.gradients:
                product = episode.gradients[f"{name}.weight"] * latent.detach()
                found[name] = group_norms(product).square().cpu() / self.sizes[name]
        weights = sum(self.sizes[name] * len(value) for name, value in found.items())
        mean = sum(self.sizes[n] * float(f.sum()) for n, f in found.items()) / weights
        for name, value in found.items():
            self.seen[name] += 1
            self.saliency[name].lerp_(value / max(mean, 1e-30), max(1.0 - DECAY, 1.0 / self.seen[name]))

    def step(self, step: Step) -> None:
        """Dual ascent on log λ, then the groups that it removes from the next step on."""
        self.count = step.index + 1
        if self.count > self.steps:
            return
        scores = self.scores()
        share, removed = self._removed(scores)
        wanted, found = (self.phi, share) if self.trainer.budget.natural else (self.trainer.budget.target, removed)
        assert wanted is not None
        gradient = (wanted - found) / max(wanted + found, 1e-12)
        if self.count > 5:
            self.lam *= math.exp(RATES[self.count >= self.warmup] * gradient)
        if self.count >= self.warmup:
            self.kept = {name: _keep_best(score, score > self.lam) for name, score in scores.items()}
        if self.count > 0.75 * self.steps:
            for name, kept in self.kept.items():
                self.votes[name] += kept.float() - 0.5
        self._log(share, removed, gradient)

    def scores(self) -> dict[str, Tensor]:
        """u_g = sqrt(S_g / mean S)."""
        mean = sum(self.sizes[n] * float(s.sum()) for n, s in self.saliency.items()) / self.total
        return {name: (s / max(mean, 1e-30)).sqrt() for name, s in self.saliency.items()}

    def _removed(self, scores: dict[str, Tensor]) -> tuple[float, float]:
        """Share of the saliency, and of the weights, in groups at or below λ."""
        saliency = weights = everything = 0.0
        for name, score in scores.items():
            dead = ~_keep_best(score, score > self.lam)
            everything += self.sizes[name] * float(self.saliency[name].sum())
            saliency += self.sizes[name] * float(self.saliency[name][dead].sum())
            weights += self.sizes[name] * float(dead.sum())
        return saliency / max(everything, 1e-30), weights / self.total

    def _log(self, share: float, removed: float, gradient: float) -> None:
        self.trainer.log("lambda", self.lam)
        self.trainer.log("lambda_gradient", gradient)
        self.trainer.log("saliency_share", share)
        self.trainer.log("sparsity", removed if self.kept else 0.0)
        self.trainer.log("sparsity_of_lambda", removed)

    def settle(self) -> None:
        """The groups dead in most of the last quarter's steps are the pattern; a budget ranks groups by u_g."""
        final = {name: _keep_best(score, self.votes[name] >= 0) for name, score in self.scores().items()}
        self.kept = final
        latent = {name: weight.detach().clone() for name, weight in self.trainer.weights.items()}
        with torch.no_grad():
            used = self.weights(dict(self.trainer.model.named_parameters()))
            for name, weight in self.trainer.weights.items():
                weight.copy_(used[f"{name}.weight"])
        self.trainer.view = View()
        self.trainer.settle(self.scores(), before=latent)


def _wide(kept: Tensor, weight: Tensor) -> Tensor:
    return kept.to(weight.device, weight.dtype).view(1, -1, *([1] * (weight.ndim - 2)))


def _keep_best(score: Tensor, kept: Tensor) -> Tensor:
    """The best group of every layer always stays."""
    kept = kept.clone()
    kept[score.argmax()] = True
    return kept
