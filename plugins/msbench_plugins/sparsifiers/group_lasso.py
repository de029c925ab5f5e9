"""Group lasso and the group minimax concave penalty, by a proximal step after each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Interval
from torch import Tensor

from msbench.api import (
    AdaptiveMCP,
    AdaptiveProx,
    Sparsifier,
    Trainer,
    UserError,
    group_norms,
    prox_euclidean,
    prox_mcp,
)
from msbench_plugins.sparsifiers.steering import Prox, ProximalTraining, Steering

LAMBDA = {"euclidean": 0.1, "adaptive": 1e-3}
GAMMA = {"euclidean": 1.0, "adaptive": 100.0}


@dataclass
class GroupLasso(Sparsifier):
    """Proximal training under λ sum_g sqrt(n_g) ||w_g||, then settle and fine-tune with the mask held.

    The two metrics are two scales of λ that must never be mixed. `euclidean` compares λ with Adam's normalised step
    (nothing dies below about 0.2, everything at 1); `adaptive` compares it with the raw gradient (Deleu and Bengio,
    2021; the papers' 1e-3 to 1e-5). So λ has no default of its own: it belongs to the metric.

    penalty: `group` as above; `mcp`, the minimax concave penalty of the norm (Zhang, 2010), spares large groups.
    prox_metric: the metric of the proximal step.
    lam: λ, and where steering starts; None takes the metric's default (0.1 euclidean, 1e-3 adaptive).
    gamma: γ of `mcp`: groups whose root mean square is above γ λ are not shrunk at all. It must exceed the learning
        rate. None takes the metric's default (1 euclidean, 100 adaptive: an RMS above 0.1 at the default λ).
    sparse_share: share of the allowance with the proximal step; the rest fine-tunes with the mask held.
    steer: under a budget, move log λ by this much a step times the distance to a target that rises linearly over
        the sparse steps (groups die late and together, so a target at full height from the start overshoots to an
        empty network); 0 holds λ.
    """

    name: ClassVar[str] = "group_lasso"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "group_lasso": {"prox_metric": "euclidean"},
        "group_lasso_adaptive": {"prox_metric": "adaptive"},
    }
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = "Deleu and Bengio. Structured sparsity inducing adaptive optimizers. arXiv 2102.03869"
    penalty: Literal["group", "mcp"] = "group"
    prox_metric: Literal["euclidean", "adaptive"] = "euclidean"
    lam: Annotated[float, Gt(0)] | None = None
    gamma: Annotated[float, Gt(0)] | None = None
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    steer: Annotated[float, Interval(ge=0, le=1)] = 0.1

    def __post_init__(self) -> None:
        if self.gamma is not None and self.penalty != "mcp":
            raise UserError(f"group_lasso: gamma={self.gamma} acts only with penalty=mcp")

    def sparsify(self, trainer: Trainer) -> None:
        sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        steering = Steering(trainer, self.lam or LAMBDA[self.prox_metric], self.steer, self.sparse_share)

        def score(name: str, weight: Tensor) -> Tensor:
            return group_norms(weight) / sizes[name] ** 0.5

        operators = AdaptiveProx(), AdaptiveMCP()
        training = ProximalTraining(trainer, steering, self._prox(trainer, *operators), score)
        trainer.train(share=self.sparse_share, after_step=training.shrink, state=(training, *operators))
        training.settle()
        trainer.train()

    def notes(self) -> list[str]:
        metric = "the Euclidean metric" if self.prox_metric == "euclidean" else "Adam's diagonal metric"
        notes = [f"proximal step in {metric}; its λ cannot be compared with the other metric's"]
        if self.penalty == "mcp":
            notes.append(f"minimax concave penalty, γ={self._gamma:g}, in place of the group lasso")
            if self.prox_metric == "adaptive":
                notes.append("Adam's metric counts as 2 lr / γ where it is less, so that the step has one solution")
        return notes

    @property
    def _gamma(self) -> float:
        return self.gamma or GAMMA[self.prox_metric]

    def _prox(self, trainer: Trainer, shrink: AdaptiveProx, shrink_mcp: AdaptiveMCP) -> Prox:
        """w <- prox(w) with threshold lr λ sqrt(n_g)."""
        weights, gamma = list(trainer.weights.values()), self._gamma
        if self.penalty == "mcp" and gamma <= trainer.settings.lr:
            raise UserError(
                f"group_lasso: gamma={gamma:g} must exceed the learning rate {trainer.settings.lr:g}, "
                "or the proximal step has no single solution"
            )

        def moments() -> list[Tensor]:
            return [trainer.optimizer.second_moment(weight) for weight in weights]

        def adaptive(lr: float, lam: float) -> None:
            own, corrections = trainer.optimizer.second_moments(weights)
            shrink(weights, own, lr * lam, corrections)

        steps: dict[tuple[str, str], Prox] = {
            ("group", "euclidean"): lambda lr, lam: prox_euclidean(weights, lr * lam),
            ("group", "adaptive"): adaptive,
            ("mcp", "euclidean"): lambda lr, lam: prox_mcp(weights, lr * lam, lr / gamma),
            ("mcp", "adaptive"): lambda lr, lam: shrink_mcp(weights, moments(), lr * lam, lr / gamma),
        }
        return steps[self.penalty, self.prox_metric]
