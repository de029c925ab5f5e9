"""How the tasks' losses become one loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class LossBalancer(nn.Module):
    """Maps the present tasks' losses to one scalar. Its parameters, if any, are trained with the model's."""

    name: ClassVar[str]

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define forward")

    def weights(self) -> dict[str, float]:
        """Current weight of each task's loss, for the history."""
        return dict.fromkeys(self.tasks, 1.0)


class Uncertainty(LossBalancer):
    """Homoscedastic uncertainty (Kendall, Gal and Cipolla, CVPR 2018): sum of exp(-s) L / 2 + s / 2, s = log σ².

    Only the present tasks' terms enter; a single task's loss is used bare. s starts at 0, stays within [-6, 6]
    and is not decayed.
    """

    name: ClassVar[str] = "uncertainty"
    limit: ClassVar[float] = 6.0

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        if len(losses) == 1:
            return next(iter(losses.values()))
        total = torch.zeros(())
        for task, loss in losses.items():
            s = self.log_variance[task].clamp(-self.limit, self.limit)
            total = total.to(loss.device) + 0.5 * torch.exp(-s) * loss + 0.5 * s
        return total

    def weights(self) -> dict[str, float]:
        return {task: 0.5 * float(torch.exp(-s.detach())) for task, s in self.log_variance.items()}


class Equal(LossBalancer):
    """The plain sum of the losses."""

    name: ClassVar[str] = "equal"

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        return torch.stack(list(losses.values())).sum()
