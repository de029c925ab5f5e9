"""Iterative pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Interval

from msbench.api import CriterionName, Sparsifier, Trainer
from msbench_plugins.sparsifiers.pruning import Init, Pruning, train_dense


@dataclass
class Iterative(Sparsifier):
    """Train dense, then prune and train again in n equal rounds (Han et al., 2015).

    Each round removes the same share of the weights that are left, so after round k of n the sparsity is
    s_k = 1 - (1 - s)^(k/n). What is removed stays removed; what is left is ranked afresh in each round.

    criterion: what ranks groups. With `mask:RUN` the rounds lead to that mask, smallest magnitude first.
    structured: whether whole groups are removed, or single weights.
    init: the weights that the first round prunes: trained dense, or the initial ones.
    dense_share: share of the training allowance spent before the first round (`init=dense`).
    rounds: n.
    """

    name: ClassVar[str] = "iterative"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"iterative_magnitude": {"criterion": "magnitude"}}
    paper: ClassVar[str] = (
        "Han, Pool, Tran and Dally. Learning both weights and connections for efficient neural networks. NeurIPS 2015"
    )
    criterion: CriterionName = "magnitude"
    structured: bool = True
    init: Init = "dense"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.2
    rounds: Annotated[int, Ge(1)] = 5

    def plain_share(self) -> float:
        return self.dense_share if self.init == "dense" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        train_dense(trainer, self.init, self.dense_share)
        pruning = Pruning(trainer, self.criterion, self.structured)
        for k in range(1, self.rounds + 1):
            pruning.reach(round_sparsity(k, self.rounds, pruning.target))
            trainer.train(steps=trainer.steps() // (self.rounds - k + 1))

    def notes(self) -> list[str]:
        return ["one learning rate schedule over all rounds; it does not start afresh after a round"]


def round_sparsity(k: int, rounds: int, target: float) -> float:
    """Sparsity after round k: every round keeps the same share of what is left, the last one exactly."""
    # 1 - (1 - s) may round to less than s, and the last selection would not know that it is the last
    return target if k == rounds else float(1.0 - (1.0 - target) ** (k / rounds))
