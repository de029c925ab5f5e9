"""Sparse training with a norm-dependent L2 penalty on groups, then pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from msbench.api import CriterionName, Sparsifier, Step, Trainer, group_norms
from msbench_plugins.sparsifiers.group_decay import DECOUPLED, decay


@dataclass
class GroupNorm(Sparsifier):
    """DepGraph's sparse training: weak groups are shrunk more than strong ones, then pruned, then fine-tune.

    While training, group g of a layer has the penalty strength * 2^(α s_g) ‖w_g‖² / 2 with
    s_g = (max ‖w‖ - ‖w_g‖) / (max ‖w‖ - min ‖w‖) over the layer's groups: the strongest has 2^0, the weakest 2^α.

    alpha: α; strengths within a layer differ by up to 2^α.
    strength: penalty of the strongest group; a weight loses lr * strength * 2^(α s) of itself a step.
    criterion: what ranks groups when they are pruned.
    sparse_share: share of the allowance with the penalty; the rest fine-tunes with the mask held.
    """

    name: ClassVar[str] = "group_norm"
    paper: ClassVar[str] = "Fang, Ma, Song, Mi and Wang. DepGraph: towards any structural pruning. CVPR 2023"
    alpha: Annotated[float, Ge(0)] = 4.0
    strength: Annotated[float, Gt(0)] = 1.0
    criterion: CriterionName = "magnitude"
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.3

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=self.sparse_share, after_step=lambda step: self.shrink(trainer, step), state=())
        trainer.apply_mask(trainer.budget.select(trainer.rank(self.criterion)))
        trainer.train()

    def shrink(self, trainer: Trainer, step: Step) -> None:
        """w_g <- (1 - lr strength 2^(α s_g)) w_g, after the optimizer's step."""
        norms = {name: group_norms(weight.detach()) for name, weight in trainer.weights.items()}
        decay(trainer, {name: self.strength * strengths(norm, self.alpha) for name, norm in norms.items()}, step.lr)

    def notes(self) -> list[str]:
        return [
            DECOUPLED,
            "a group is an input channel of one convolution, and strengths compare those of a layer; the paper couples"
            " all layers that share a channel",
        ]


def strengths(norms: Tensor, alpha: float) -> Tensor:
    """2^(α (max - norm) / (max - min)) of each group of a layer; 1 where all norms are equal."""
    spread = norms.max() - norms.min()
    return torch.where(spread > 0, torch.exp2(alpha * (norms.max() - norms) / spread), 1.0)
