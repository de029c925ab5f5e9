"""Group lasso with a fixed λ, by a proximal step after each optimizer step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Interval
from torch import Tensor

from msbench.api import AdaptiveProx, Sparsifier, Step, Trainer, group_norms, prox_euclidean


@dataclass
class GroupLasso(Sparsifier):
    """Proximal training under λ sum_g sqrt(n_g) ||w_g||, then settle and fine-tune with the mask held.

    The two metrics are two scales of λ that must never be mixed. `euclidean` compares λ with Adam's normalised step
    (nothing dies below about 0.2, everything at 1); `adaptive` compares it with the raw gradient (Deleu and Bengio,
    2021; the papers' 1e-3 to 1e-5). So λ has no default of its own: it belongs to the metric.

    prox_metric: the metric of the proximal step.
    lam: λ, and where steering starts; None takes the metric's default (0.1 euclidean, 1e-3 adaptive).
    sparse_share: share of the allowance with the proximal step; the rest fine-tunes with the mask held.
    steer: under a budget, move log λ by this much a step times the distance to a target that rises linearly over
        the first half of the sparse steps (groups die late and together, so a target at full height from the start
        overshoots to an empty network); 0 holds λ.
    """

    name: ClassVar[str] = "group_lasso"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "group_lasso": {"prox_metric": "euclidean"},
        "group_lasso_adaptive": {"prox_metric": "adaptive"},
    }
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = "Deleu and Bengio. Structured sparsity inducing adaptive optimizers. arXiv 2102.03869"
    prox_metric: Literal["euclidean", "adaptive"] = "euclidean"
    lam: Annotated[float, Gt(0)] | None = None
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.7
    steer: Annotated[float, Interval(ge=0, le=1)] = 0.1

    def sparsify(self, trainer: Trainer) -> None:
        lasso = _Lasso(self, trainer)
        trainer.train(share=self.sparse_share, after_step=lasso.shrink)
        trainer.settle(lasso.scores, before=lasso.before)
        trainer.train()

    def notes(self) -> list[str]:
        metric = "the Euclidean metric" if self.prox_metric == "euclidean" else "Adam's diagonal metric"
        return [f"proximal step in {metric}; its λ cannot be compared with the other metric's"]


class _Lasso:
    """The proximal step, λ and what settling needs: scores and weights from before the last step."""

    def __init__(self, settings: GroupLasso, trainer: Trainer) -> None:
        self.trainer, self.settings = trainer, settings
        self.lam = settings.lam or (0.1 if settings.prox_metric == "euclidean" else 1e-3)
        self.sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        self.adaptive = AdaptiveProx()
        self.scores: dict[str, Tensor] = {}
        self.before: dict[str, Tensor] = {}

    def shrink(self, step: Step) -> None:
        """w <- prox(w) with threshold lr λ sqrt(n_g), after the optimizer's step."""
        weights = self.trainer.weights
        if step.last:
            self.before = {name: weight.detach().clone() for name, weight in weights.items()}
            self.scores = {n: group_norms(w) / self.sizes[n] ** 0.5 for n, w in self.before.items()}
        if self.settings.prox_metric == "euclidean":
            prox_euclidean(list(weights.values()), step.lr * self.lam)
        else:
            moments = [self.trainer.optimizer.second_moment(weight) for weight in weights.values()]
            self.adaptive(list(weights.values()), moments, step.lr * self.lam)
        sparsity = self.trainer.sparsity()
        self.trainer.log("lambda", self.lam)
        self.trainer.log("sparsity", sparsity)
        self._steer(sparsity)

    def _steer(self, sparsity: float) -> None:
        if self.trainer.budget.target is not None:
            progress = self.trainer.allowance.progress / self.settings.sparse_share
            wanted = self.trainer.budget.target * min(1.0, 2 * progress)
            self.lam *= math.exp(self.settings.steer * (wanted - sparsity))
