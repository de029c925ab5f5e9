"""The l1 penalty on single weights, by a proximal step after each optimizer step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Interval

from msbench.api import Sparsifier, Trainer, prox_l1, prox_l1_adaptive
from msbench_plugins.sparsifiers.steering import Prox, ProximalTraining, Steering

LAMBDA = {"euclidean": 0.3, "adaptive": 1e-3}
"""By metric. Euclidean: about half of the weights of the small networks tried here died at 0.3 (a tenth at 0.1, two
thirds at 0.5). Adaptive: the value that published l1 runs had, where 70 to 78% died."""


@dataclass
class L1(Sparsifier):
    """Proximal training under λ sum |w|, then settle and fine-tune with the mask held. Removes single weights.

    After each optimizer step, w <- sign(w) max(0, |w| - lr λ / d), with d = 1 (euclidean) or Adam's √v̂ + ε
    (adaptive). The two metrics are two scales of λ that must never be mixed: `euclidean` compares λ with Adam's
    normalised step, `adaptive` with the raw gradient.

    prox_metric: the metric of the proximal step.
    lam: λ, and where steering starts; None takes the metric's default (0.3 euclidean, 1e-3 adaptive).
    sparse_share: share of the allowance with the proximal step; the rest fine-tunes with the mask held.
    steer: under a budget, move log λ by this much a step times the distance to a target that rises linearly over
        the sparse steps; 0 holds λ.
    """

    name: ClassVar[str] = "l1"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "l1": {"prox_metric": "euclidean"},
        "l1_adaptive": {"prox_metric": "adaptive"},
    }
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = (
        "Yun, Lozano and Yang. Adaptive proximal gradient methods for structured neural networks. NeurIPS 2021"
    )
    prox_metric: Literal["euclidean", "adaptive"] = "euclidean"
    lam: Annotated[float, Gt(0)] | None = None
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    steer: Annotated[float, Interval(ge=0, le=1)] = 0.1

    def sparsify(self, trainer: Trainer) -> None:
        steering = Steering(trainer, self.lam or LAMBDA[self.prox_metric], self.steer, self.sparse_share)
        training = ProximalTraining(
            trainer, steering, self._prox(trainer), lambda name, weight: weight.abs(), structured=False
        )
        trainer.train(share=self.sparse_share, after_step=training.shrink, state=training)
        training.settle()
        trainer.train()

    def notes(self) -> list[str]:
        metric = "the Euclidean metric" if self.prox_metric == "euclidean" else "Adam's diagonal metric"
        return [
            f"proximal step in {metric}; its λ cannot be compared with the other metric's",
            "soft threshold on the scope's weights alone; published l1 runs penalise every parameter in the loss and"
            " cut what is tiny",
        ]

    def _prox(self, trainer: Trainer) -> Prox:
        weights = list(trainer.weights.values())
        if self.prox_metric == "euclidean":
            return lambda lr, lam: prox_l1(weights, lr * lam)

        def adaptive(lr: float, lam: float) -> None:
            moments, corrections = trainer.optimizer.second_moments(weights)
            prox_l1_adaptive(weights, moments, lr * lam, bias_corrections=corrections)

        return adaptive
