"""Growing regularisation: what is to be removed is pushed to zero first, by a penalty that grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from msbench.api import CriterionName, Mask, Sparsifier, Step, Trainer, UserError
from msbench_plugins.sparsifiers.group_decay import DECOUPLED, decay

GROWTH = 0.75
"""Share of the growing stage after which the factor stands at its ceiling where delta is None; then it stabilises."""


@dataclass
class GrowingReg(Sparsifier):
    """GReg-1: choose after a dense stage, let an L2 factor grow on what was chosen, remove it, fine-tune.

    By the time of removal the chosen groups are nearly zero and the others have taken over, so the removal itself
    does no harm. The factor of all other weights is the run's weight decay.

    criterion: what ranks groups (the paper: L1 norm).
    dense_share: share of the allowance spent before groups are chosen.
    grow_share: share of the allowance with the growing penalty.
    every: optimizer steps from one raise of the factor to the next.
    ceiling: greatest factor; a weight loses lr * factor of itself a step.
    delta: raise of the factor; None reaches the ceiling after three quarters of the stage.
    """

    name: ClassVar[str] = "growing_reg"
    paper: ClassVar[str] = "Wang, Qin, Zhang and Fu. Neural pruning via growing regularization. ICLR 2021"
    criterion: CriterionName = "magnitude[norm=1]"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.3
    grow_share: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    every: Annotated[int, Ge(1)] = 5
    ceiling: Annotated[float, Gt(0)] = 30.0
    delta: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        if self.dense_share + self.grow_share >= 1:
            raise UserError(
                f"growing_reg: dense_share={self.dense_share} and grow_share={self.grow_share} leave nothing "
                "to fine-tune with"
            )

    def plain_share(self) -> float:
        return self.dense_share

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=self.dense_share)
        mask = trainer.budget.select(trainer.rank(self.criterion))
        trainer.train(share=self.grow_share, after_step=self.growing(trainer, mask).shrink, state=())
        trainer.apply_mask(mask)
        trainer.train()

    def notes(self) -> list[str]:
        return [DECOUPLED, "groups are ranked over the whole network; the paper fixes a ratio for each layer"]

    def growing(self, trainer: Trainer, mask: Mask) -> Growing:
        """The penalty on what `mask` removes."""
        raises = math.ceil(GROWTH * trainer.steps(self.grow_share) / self.every)
        return Growing(trainer, mask, self.every, self.delta or self.ceiling / max(raises, 1), self.ceiling)


class Growing:
    """An L2 penalty on what `mask` removes, min(ceiling, delta * raises), raised every so many steps from the first."""

    def __init__(self, trainer: Trainer, mask: Mask, every: int, delta: float, ceiling: float) -> None:
        self.trainer, self.every, self.delta, self.ceiling = trainer, every, delta, ceiling
        self._doomed = {name: (~kept).to(trainer.device, trainer.weights[name].dtype) for name, kept in mask.items()}

    def factor(self, index: int) -> float:
        """The factor at a step of the stage."""
        return min(self.ceiling, self.delta * (index // self.every + 1))

    def shrink(self, step: Step) -> None:
        """w <- (1 - lr factor) w for what is to be removed, after the optimizer's step."""
        factor = self.factor(step.index)
        decay(self.trainer, {name: factor * doomed for name, doomed in self._doomed.items()}, step.lr)
        self.trainer.log("growing_factor", factor)
