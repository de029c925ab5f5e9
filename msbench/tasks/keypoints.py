"""Keypoints: how much every pixel would be worth as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.tasks.colours import blacken, ordered
from msbench.tasks.pooling import PooledEvaluator, absolute_or_huber, import_torchmetrics, masked_mean
from msbench.tasks.task import MetricSpec, Task

STRONG = 0.5
"""Strength from which on a pixel counts as a keypoint in `mae_on_keypoints`."""

_METRICS = {
    "mae": MetricSpec("lower", "MAE", formula="mean |p - g| over all valid pixels"),
    "mae_nonzero": MetricSpec(
        "lower", "MAE where ≠ 0", "", False, "mean |p - g| where g ≠ 0; 0 where there is nothing else"
    ),
    "mae_on_keypoints": MetricSpec(
        "lower", "MAE on keypoints", "", False, f"mean |p - g| where g ≥ {STRONG}; 0 without keypoints"
    ),
}


@dataclass(frozen=True)
class KeypointsTask(Task):
    """Keypoint strength in [0, 1] for each pixel (Taskonomy's keypoints2d). Target: float [B, H, W].

    Most pixels have next to none, so that the error over all of them says little about the few that matter: read
    `mae_on_keypoints` beside it.

    huber_delta: error at which the loss turns linear; 0 for the absolute error (AdaShare, DiSparse, AdapMTL).
    """

    kind: ClassVar[str] = "keypoints"
    name: str = "keypoints"
    huber_delta: float = 0.0
    channels = 1
    headline = "mae"

    def __post_init__(self) -> None:
        if not self.huber_delta >= 0:
            raise ValueError(f"task {self.name!r}: huber_delta: expected 0 or more, got {self.huber_delta}")

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return _METRICS

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean absolute error (or Huber loss) of the raw output over valid pixels.

        No sigmoid: its gradient fades towards 0, where most of the targets are.
        """
        strength = output[:, 0]
        true = torch.where(valid, target, 0).to(strength.dtype)
        return masked_mean(absolute_or_huber(strength, true, self.huber_delta), valid)

    def evaluator(self) -> _KeypointsEvaluator:
        return _KeypointsEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """The median strength, which has the least mean absolute error."""
        known = target[valid].float()
        return (known.median() if known.numel() else known.new_tensor(0.0)).nan_to_num(0.0)[None]

    def predict(self, output: Tensor) -> Tensor:
        """Strength [B, H, W], clamped to [0, 1]."""
        return output[:, 0].clamp(0, 1)

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        """From dark (none) to bright (strong)."""
        return blacken(ordered(target), valid)


class _KeypointsEvaluator(PooledEvaluator):
    """Absolute errors pooled over the part, of all pixels and of those that hold something."""

    def __init__(self, task: KeypointsTask) -> None:
        torchmetrics = import_torchmetrics()
        super().__init__(task.name, {name: torchmetrics.MeanAbsoluteError() for name in _METRICS})
        self._predict = task.predict
        self._empty = {"mae_nonzero", "mae_on_keypoints"}

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output: [B, 1, H, W]; target, valid: [B, H, W]."""
        metrics = self.begin(valid)
        predicted, true = self._predict(output)[valid], target[valid]
        metrics["mae"].update(predicted, true)

        for name, chosen in (("mae_nonzero", true != 0), ("mae_on_keypoints", true >= STRONG)):
            if chosen.any():
                self._empty.discard(name)
                metrics[name].update(predicted[chosen], true[chosen])

    def results(self) -> dict[str, float]:
        # torchmetrics divides by a count of zero
        return {name: 0.0 if name in self._empty else float(m.compute()) for name, m in self._metrics.items()}
