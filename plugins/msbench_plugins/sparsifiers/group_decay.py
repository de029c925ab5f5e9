"""L2 penalties of a strength of its own for every group."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from msbench.api import Trainer

DECOUPLED = "the L2 penalty acts by itself, w <- (1 - lr factor) w, since Adam would divide its gradient by √v̂"


@torch.no_grad()
def decay(trainer: Trainer, factors: Mapping[str, Tensor], lr: float) -> None:
    """w_g <- (1 - lr factor_g) w_g, after the optimizer's step; never past zero.

    Under SGD this is exactly the gradient step of factor_g ‖w_g‖² / 2. Adam divides gradients by √v̂, which would
    weaken the penalty where gradients are large and grow with itself where the penalty is most of the gradient.

    factors: per layer [I].
    """
    for name, weight in trainer.weights.items():
        left = (1.0 - lr * factors[name]).clamp_min_(0.0)
        weight.mul_(left.view(1, -1, *([1] * (weight.ndim - 2))))
