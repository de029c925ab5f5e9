"""λ as published: softplus(ρ), moved by the gradient of the penalty itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.api import Step, Trainer, group_norms, prox_euclidean


class Direct:
    """Proximal meta-update of the weights (eq. 8) and gradient update of ρ (eq. 10), Adam on ρ.

    The derivative of the query objective with respect to λ is R(Θ) = sum_g sqrt(n_g) ||θ_g||, so that of ρ is
    sigmoid(ρ) R(Θ): never negative.
    """

    def __init__(self, trainer: Trainer, rho: float | None, lr_lambda: float) -> None:
        self.trainer = trainer
        start = 0.1 + 0.9 * float(torch.rand((), generator=trainer.generator)) if rho is None else rho
        self.rho = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.rho], lr=1.0)
        self.lr_lambda = lr_lambda
        self.sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        self.scores: dict[str, Tensor] = {}
        self.before: dict[str, Tensor] = {}

    @property
    def lam(self) -> float:
        """λ = softplus(ρ)."""
        return float(F.softplus(self.rho.detach()))

    def step(self, step: Step) -> None:
        """Θ <- prox(Θ); ρ <- ρ - lr dR/dρ."""
        weights = self.trainer.weights
        if step.last:
            self.before = {name: weight.detach().clone() for name, weight in weights.items()}
            self.scores = {n: group_norms(w) / self.sizes[n] ** 0.5 for n, w in self.before.items()}
        norms = prox_euclidean(list(weights.values()), step.lr * self.lam)
        penalty = sum(self.sizes[n] ** 0.5 * float(norm.sum()) for n, norm in zip(weights, norms, strict=True))

        self.rho.grad = torch.sigmoid(self.rho.detach()) * penalty
        self.adam.param_groups[0]["lr"] = self.lr_lambda * step.lr
        self.adam.step()

        self.trainer.log("lambda", self.lam)
        self.trainer.log("lambda_gradient", penalty)
        self.trainer.log("sparsity", self.trainer.sparsity())

    def settle(self) -> None:
        """The zeros of Θ are the pattern; a budget ranks groups by their norm before the last proximal step."""
        self.trainer.settle(self.scores, before=self.before)
