"""Progressive pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Interval

from msbench.api import CriterionName, Sparsifier, Step, Trainer, UserError
from msbench_plugins.sparsifiers.pruning import Init, Pruning, train_dense


@dataclass
class Progressive(Sparsifier):
    """Sparsity rises along a cubic while the network trains (Zhu and Gupta, 2017).

    s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n Δt))³ with s_i = 0, at every Δt-th step from t_0 to t_0 + n Δt: fast
    while much is redundant, slowly near the end. What is removed stays removed; what is left is ranked afresh.

    criterion: what ranks groups. With `mask:RUN` the rise leads to that mask, smallest magnitude first.
    structured: whether whole groups are removed, or single weights.
    init: the weights that training starts from: trained dense, or the initial ones.
    dense_share: share of the training allowance spent before everything else (`init=dense`).
    start_share, stop_share: t_0 and t_0 + n Δt, as shares of the allowance that is left after the dense stage.
    every: Δt, in optimizer steps.
    """

    name: ClassVar[str] = "progressive"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"progressive_magnitude": {"criterion": "magnitude"}}
    paper: ClassVar[str] = (
        "Zhu and Gupta. To prune, or not to prune: exploring the efficacy of pruning for model compression. "
        "arXiv 1710.01878"
    )
    criterion: CriterionName = "magnitude"
    structured: bool = True
    init: Init = "random"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.3
    start_share: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    stop_share: Annotated[float, Interval(gt=0, lt=1)] = 0.6
    every: Annotated[int, Ge(1)] = 10

    def __post_init__(self) -> None:
        if self.start_share >= self.stop_share:
            raise UserError(
                f"progressive: start_share={self.start_share} must be below stop_share={self.stop_share}, "
                "the share at which the target is reached"
            )

    def plain_share(self) -> float:
        return self.dense_share if self.init == "dense" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        train_dense(trainer, self.init, self.dense_share)
        left = 1.0 - trainer.allowance.progress
        trainer.train(share=self.start_share * left)
        pruning = Pruning(trainer, self.criterion, self.structured)
        rise = trainer.steps((self.stop_share - self.start_share) * left)
        n = rise // self.every

        def prune(step: Step) -> None:
            k, between = divmod(step.index + 1, self.every)
            if between == 0:
                pruning.reach(cubic(k / n, pruning.target))

        trainer.train(steps=rise, after_step=prune, state=pruning)
        pruning.reach(pruning.target)
        trainer.train()

    def notes(self) -> list[str]:
        return [
            f"sparsity is moved every {self.every} steps; the target is reached at {self.stop_share:.0%} of training"
        ]


def cubic(progress: float, final: float, initial: float = 0.0) -> float:
    """s_t; progress is (t - t_0) / (n Δt)."""
    return final + (initial - final) * (1.0 - progress) ** 3
