"""Pooling over a whole part: each valid pixel or image counts once, however the part is cut into batches."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench._torchvision import import_torchvision
from msbench.errors import UserError

if TYPE_CHECKING:
    from torchmetrics import Metric


def import_torchmetrics() -> ModuleType:
    """torchmetrics, late (it is slow to import) and after torchvision (which it imports) is importable."""
    import_torchvision()
    return importlib.import_module("torchmetrics")


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`; zero, with a gradient of zeros, where the mask is empty.

    What lies outside the mask must be finite, or its gradient would not be: clean the target, not the result.
    """
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def absolute_or_huber(predicted: Tensor, true: Tensor, delta: float) -> Tensor:
    """Elementwise Huber loss that turns linear at an error of `delta`; the absolute error itself where delta is 0."""
    if delta == 0:
        return (predicted - true).abs()
    return F.huber_loss(predicted, true, reduction="none", delta=delta)


class PooledEvaluator:
    """Base of the tasks' evaluators: torchmetrics by metric name, summed in float64 on the data's device."""

    def __init__(self, task: str, metrics: Mapping[str, Metric]) -> None:
        self._task = task
        self._metrics = {name: metric.set_dtype(torch.float64) for name, metric in metrics.items()}
        self._count = 0

    def begin(self, valid: Tensor) -> dict[str, Metric]:
        """Count what is valid in this batch; the metrics, ready to be updated with it."""
        self._count += int(valid.sum())
        for metric in self._metrics.values():
            if metric.device != valid.device:
                # a move makes torchmetrics fall back to float32
                metric.to(valid.device).set_dtype(torch.float64)
        return self._metrics

    def compute(self) -> dict[str, float]:
        """Every metric of the task; UserError when the whole part had nothing valid."""
        if self._count == 0:
            raise UserError(
                f"task {self._task!r}: this part has no valid target, so its metrics are undefined; "
                f"use a larger part or leave the task out"
            )
        return self.results()

    def results(self) -> dict[str, float]:
        """The metrics as numbers; overridden where several come from one state."""
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}
