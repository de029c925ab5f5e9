"""Network slimming: sparse batch-norm scales, then pruning of the channels that they scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt, Interval
from torch import nn

from msbench.api import CriterionName, Sparsifier, Step, Trainer, UserError

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class BatchNormSlimming(Sparsifier):
    """Train with λ Σ |γ| on the scope's batch-norm scales, prune the input channels of the smallest, fine-tune.

    update: `prox` is a soft threshold, |γ| falls by lr λ after each step; `subgradient` adds λ sign(γ) to the gradient
        as published, which Adam then divides by √v̂.
    lam: λ.
    criterion: what ranks groups when they are pruned: the scale that an input channel arrives with.
    sparse_share: share of the allowance with the penalty; the rest fine-tunes with the mask held.
    """

    name: ClassVar[str] = "bn_scale"
    paper: ClassVar[str] = (
        "Liu, Li, Shen, Huang, Yan and Zhang. Learning efficient convolutional networks through network slimming. "
        "ICCV 2017"
    )
    update: Literal["prox", "subgradient"] = "prox"
    lam: Annotated[float, Gt(0)] = 0.3
    criterion: CriterionName = "bn_scale"
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.3

    def sparsify(self, trainer: Trainer) -> None:
        scales = batch_norm_scales(trainer)

        def pull(step: Step) -> None:
            for scale in scales:
                if scale.grad is not None:
                    scale.grad.add_(self.lam * scale.detach().sign())

        def shrink(step: Step) -> None:
            # the last threshold would leave ties at zero, which say nothing of who is weakest
            if not step.last:
                soft_threshold(scales, step.lr * self.lam)

        if self.update == "prox":
            trainer.train(share=self.sparse_share, after_step=shrink, state=())
        else:
            trainer.train(share=self.sparse_share, before_step=pull, state=())
        trainer.apply_mask(trainer.budget.select(trainer.rank(self.criterion)))
        trainer.train()

    def notes(self) -> list[str]:
        way = "soft threshold on γ; published as a subgradient" if self.update == "prox" else "subgradient under Adam"
        return [f"{way}, which for Adam is another scale of λ"]


def batch_norm_scales(trainer: Trainer) -> list[nn.Parameter]:
    """γ of every batch-norm in the budget's scope; UserError where there is none."""
    root = trainer.model.backbone if trainer.budget.scope == "backbone" else trainer.model
    scales = [module.weight for module in root.modules() if isinstance(module, NORMS) and module.affine]
    if not scales:
        raise UserError("bn_scale: the network has no batch-norm scales to make sparse")
    return scales


@torch.no_grad()
def soft_threshold(scales: list[nn.Parameter], threshold: float) -> None:
    """sign(γ) max(0, |γ| - threshold), in place."""
    for scale in scales:
        scale.sub_(scale.clamp(-threshold, threshold))
