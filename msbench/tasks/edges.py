"""Edges: a strength for each pixel, or edge / no edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.tasks.colours import blacken
from msbench.tasks.pooling import PooledEvaluator, absolute_or_huber, import_torchmetrics, masked_mean
from msbench.tasks.task import MetricSpec, Task

POSITIVE_WEIGHT = 0.95
"""Weight of edge pixels in the binary loss, 1 - 0.95 that of the others: the constant of ASTMT (CVPR 2019),
not the batch's own share, so that losses of different batches and runs compare."""

_BINS = 1000

_ON_EDGES = MetricSpec("lower", "MAE on edges", "", False, "mean |p - g| where g ≠ 0; 0 without edges")
_SOFT = {
    "mae": MetricSpec("lower", "MAE", formula="mean |p - g| over all valid pixels"),
    "mae_on_edges": _ON_EDGES,
}
_BINARY = {
    "f1": MetricSpec("higher", "F1", "%", formula="pixelwise F1 at the best single threshold of the part"),
    "average_precision": MetricSpec("higher", "AP", "%", formula=f"Σ (Rₙ - Rₙ₋₁) Pₙ over {_BINS + 1} thresholds"),
    "mae": MetricSpec("lower", "MAE", "", False, "mean |p - g| over all valid pixels"),
    "mae_on_edges": _ON_EDGES,
}


@dataclass(frozen=True)
class EdgesTask(Task):
    """Edge strength in [0, 1] for each pixel. Target: float [B, H, W]; with `binary`, 0 or 1, any dtype.

    binary: edges are there or not: class-balanced cross entropy and detection metrics.
    huber_delta: error at which the loss of soft edges turns linear (0.2 to 0.5 in the meta-sparsity papers); 0 for
        the absolute error (AdaShare, DiSparse, AdapMTL).
    """

    kind: ClassVar[str] = "edges"
    name: str = "edges"
    binary: bool = False
    huber_delta: float = 0.3
    headline: str = field(init=False, repr=False)
    channels = 1

    def __post_init__(self) -> None:
        if not self.huber_delta >= 0:
            raise ValueError(f"task {self.name!r}: huber_delta: expected 0 or more, got {self.huber_delta}")
        object.__setattr__(self, "headline", next(iter(self.metrics)))

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return _BINARY if self.binary else _SOFT

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over valid pixels of the Huber loss (soft) or of the class-balanced cross entropy (binary)."""
        logit = output[:, 0]
        true = torch.where(valid, target, 0).to(logit.dtype)
        if not self.binary:
            return masked_mean(absolute_or_huber(logit.sigmoid(), true, self.huber_delta), valid)
        weight = torch.where(true > 0.5, POSITIVE_WEIGHT, 1 - POSITIVE_WEIGHT)
        return masked_mean(F.binary_cross_entropy_with_logits(logit, true, weight=weight, reduction="none"), valid)

    def evaluator(self) -> _SoftEvaluator | _BinaryEvaluator:
        return _BinaryEvaluator(self) if self.binary else _SoftEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """Soft: the median strength, which has the least mean absolute error. Binary: the least loss.

        At its best threshold a constant marks every pixel: with a share s of edges, F1 is 2s / (1 + s) and
        average precision is s.
        """
        known = target[valid].float()
        if self.binary:
            positive = POSITIVE_WEIGHT * known.sum()
            best = positive / (positive + (1 - POSITIVE_WEIGHT) * (1 - known).sum())
        else:
            best = known.median() if known.numel() else known.new_tensor(0.0)
        return torch.logit(best.nan_to_num(0.0), eps=1e-6)[None]

    def predict(self, output: Tensor) -> Tensor:
        """Strength, or probability of an edge, [B, H, W] in [0, 1]."""
        return output[:, 0].sigmoid()

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        grey = (target.float().nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)
        return blacken(grey.expand(3, *grey.shape), valid)


class _SoftEvaluator(PooledEvaluator):
    """Absolute errors pooled over the part, of all pixels and of the edges."""

    def __init__(self, task: EdgesTask) -> None:
        torchmetrics = import_torchmetrics()
        super().__init__(task.name, {name: torchmetrics.MeanAbsoluteError() for name in _SOFT})
        self._predict, self._edges = task.predict, 0

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output: [B, 1, H, W]; target, valid: [B, H, W]."""
        self.add(self._predict(output)[valid], target[valid], valid)

    def add(self, predicted: Tensor, true: Tensor, valid: Tensor) -> None:
        """Strengths of the valid pixels, [pixels]."""
        metrics = self.begin(valid)
        true = true.to(predicted.dtype)
        metrics["mae"].update(predicted, true)

        edges = true != 0
        self._edges += int(edges.sum())
        metrics["mae_on_edges"].update(predicted[edges], true[edges])

    def results(self) -> dict[str, float]:
        found = super().results()
        return found if self._edges else {**found, "mae_on_edges": 0.0}


class _BinaryEvaluator(_SoftEvaluator):
    """Scores of edge and of other pixels as two histograms: all thresholds at once, in constant memory.

    torchmetrics' binned curves give the same numbers, but compare every pixel with every threshold.
    """

    def __init__(self, task: EdgesTask) -> None:
        super().__init__(task)
        self._histogram = torch.zeros(2, _BINS + 1, dtype=torch.int64)

    def add(self, predicted: Tensor, true: Tensor, valid: Tensor) -> None:
        """Probabilities and labels of the valid pixels, [pixels]."""
        super().add(predicted, true, valid)
        bins = (predicted.nan_to_num(0.0) * _BINS).long() + (true > 0.5) * (_BINS + 1)
        self._histogram += torch.bincount(bins, minlength=2 * (_BINS + 1)).view(2, -1).cpu()

    def results(self) -> dict[str, float]:
        # cumulated from the right: what reaches the n-th threshold
        fp, tp = self._histogram.double().flip(1).cumsum(1)
        edges = tp[-1]
        precision, recall = tp / (tp + fp).clamp_min(1), tp / edges.clamp_min(1)
        steps = recall.diff(prepend=recall.new_zeros(1))
        return {
            "f1": 100.0 * float((2 * tp / (tp + fp + edges).clamp_min(1)).max()),
            "average_precision": 100.0 * float((steps * precision).sum()),
            **super().results(),
        }
