"""Adaptive loss weights: a task's weight follows how much its loss has moved lately."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from msbench.api import Stateful, Trainer

WeightingMode = Literal["paper", "code"]

EPSILON = 1e-8
LIMITS = (0.1, 10.0)
"""Of a task's weight relative to the others', so that no task is switched off by one flat stretch of its loss."""
LONGEST_WINDOW = 0.1
"""Share of the run that the window may cover, so that short runs adapt too."""
LOGS = 200


class AdaptiveWeights(Stateful):
    """The objective sum_t β_t L_t, with β_t from the window of the last losses (AdapMTL, eq. 6).

    D_t = ΔL_t / L_t, ΔL_t the mean |L_i - L_(i-1)| over the window and L_t the newest loss.
    `paper`: β_t ∝ (D_t / mean D)^-1: the steady task counts more. `code`: β_t ∝ the window's mean of
    |L_i - L_(i-1)| / L_i: the restless one does. Both sum to the number of tasks, times `scale`; until the window
    is full all weights are equal.
    """

    changes = ("losses", "count")

    def __init__(self, mode: WeightingMode, window: int, scale: float, trainer: Trainer) -> None:
        self.mode, self.scale, self.trainer = mode, scale, trainer
        steps = trainer.steps()
        self.window = max(2, min(window, round(LONGEST_WINDOW * steps)))
        self.every = math.ceil(max(steps, 1) / LOGS)
        self.losses = {task.name: deque[float](maxlen=self.window) for task in trainer.tasks}
        self.count = 0

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        # all in one transfer: on a GPU each would wait for the device
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        for task, value in zip(losses, values, strict=True):
            self.losses[task].append(value)
        weights = self.weights()
        if self.count % self.every == 0:
            for task, weight in weights.items():
                self.trainer.log(f"loss_weight/{task}", weight)
        self.count += 1
        return torch.stack([weights[task] * loss for task, loss in losses.items()]).sum()

    def weights(self) -> dict[str, float]:
        """β_t of each task."""
        if any(len(series) < self.window for series in self.losses.values()):
            return dict.fromkeys(self.losses, self.scale)
        moved = {task: self._moved(list(series)) + EPSILON for task, series in self.losses.items()}
        mean = sum(moved.values()) / len(moved) + EPSILON
        power = -1.0 if self.mode == "paper" else 1.0
        raw = {task: min(max((d / mean) ** power, LIMITS[0]), LIMITS[1]) for task, d in moved.items()}
        unit = len(raw) / sum(raw.values())
        return {task: self.scale * unit * value for task, value in raw.items()}

    def _moved(self, series: list[float]) -> float:
        """D_t: by how much of itself a loss moves from one step to the next."""
        pairs = list(pairwise(series))
        if self.mode == "paper":
            return sum(abs(b - a) for a, b in pairs) / len(pairs) / (series[-1] + EPSILON)
        return sum(abs(b - a) / (b + EPSILON) for a, b in pairs) / len(pairs)


def size_ratio(trainer: Trainer) -> float:
    """|W_B| / sum_t |W_t|: parameters of the backbone over those of all heads."""
    sizes = {"backbone": 0, "heads": 0}
    for name, parameter in trainer.model.named_parameters():
        sizes[name.partition(".")[0]] += parameter.numel()
    return sizes["backbone"] / sizes["heads"]
