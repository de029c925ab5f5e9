"""Depth estimation in metres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.tasks.colours import blacken, ordered
from msbench.tasks.pooling import PooledEvaluator, import_torchmetrics, masked_mean
from msbench.tasks.task import MetricSpec, Task

NEAREST = 1e-3
"""Metres. Predictions are clamped to it in ratios, where a prediction of 0 would otherwise divide by zero."""

Objective = Literal["hu", "l1", "l2"]

_RATIO = "share of pixels with max(p/g, g/p) ≤ 1.25"
_METRICS = {
    "abs": MetricSpec("lower", "abs. error", "m", formula="mean |p - g|"),
    "rel": MetricSpec("lower", "rel. error", formula="mean |p - g| / g"),
    "delta1": MetricSpec("higher", "δ < 1.25", "%", formula=_RATIO),
    "delta2": MetricSpec("higher", "δ < 1.25²", "%", formula=f"{_RATIO}²"),
    "delta3": MetricSpec("higher", "δ < 1.25³", "%", formula=f"{_RATIO}³"),
    "rmse": MetricSpec("lower", "RMSE", "m", False, "√ mean (p - g)²"),
    "abs_of_max": MetricSpec(
        "lower", "abs. error / max", "", False, "mean |p - g| / max g of the same image: the meta-sparsity papers' MAE"
    ),
}


@dataclass(frozen=True)
class DepthTask(Task):
    """Distance along the optical axis for each pixel. Target: float [B, H, W], metres; 0 is no measurement.

    typical: metres that an output of zero stands for: where an untrained network starts.
    objective: what is minimised: "hu" is Hu et al.'s combination (meta-sparsity), "l1" the mean absolute error
        (AdaShare, DiSparse, AdapMTL), "l2" the mean squared error (the released code of Less-is-More).
    """

    kind: ClassVar[str] = "depth"
    unit: ClassVar[str] = "m"
    """Of targets; empty where a dataset's depth is no distance."""
    name: str = "depth"
    typical: float = 2.5
    objective: Objective = "hu"
    channels = 1
    headline = "abs"

    def __post_init__(self) -> None:
        if not self.typical > 0:
            raise ValueError(f"task {self.name!r}: typical: expected metres above 0, got {self.typical}")
        if self.objective not in get_args(Objective):
            known = ", ".join(get_args(Objective))
            raise ValueError(f"task {self.name!r}: objective: expected one of {known}, got {self.objective!r}")

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return {name: replace(m, unit=self.unit if m.unit == "m" else m.unit) for name, m in _METRICS.items()}

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """The objective over valid pixels: metres for "l1", square metres for "l2", no unit for "hu"."""
        known = valid & (target > 0)
        predicted, true = self.predict(output), torch.where(known, target, self.typical)
        if self.objective == "hu":
            return _hu(predicted, true, known)
        error = (predicted - true).abs() if self.objective == "l1" else (predicted - true).square()
        return masked_mean(error, known)

    def evaluator(self) -> _DepthEvaluator:
        return _DepthEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """The median depth, which has the least mean absolute error, whatever the objective."""
        depths = target[valid & (target > 0)]
        median = float(depths.median()) if depths.numel() else self.typical
        scaled = median * math.log(2) / self.typical
        return torch.tensor([scaled + math.log(-math.expm1(-scaled))])

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        """Divided by `factor`: through the same lens, what looks twice as large is half as far."""
        return target / factor.to(target).view(-1, 1, 1)

    def predict(self, output: Tensor) -> Tensor:
        """Metres [B, H, W], above zero: softplus, scaled so that an output of zero gives `typical`."""
        return F.softplus(output[:, 0]) * (self.typical / math.log(2))

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        """From dark (near) to bright (far), on a scale set by `typical` alone, so that pictures compare."""
        return blacken(ordered(target / (target + self.typical)), valid & (target > 0))


def _hu(predicted: Tensor, true: Tensor, known: Tensor) -> Tensor:
    """Hu et al. (WACV 2019): log errors of depth and its gradients, plus 1 - cosine of the normals.

    ln(1 + 2e) in place of their ln(e + 0.5): the same gradients, and a minimum of zero, without which a
    learnt task weight would diverge. Gradients count only where the whole 3x3 neighbourhood is valid.
    """
    depth = masked_mean(_log_error(predicted, true), known)

    inner = _neighbourhood_valid(known)
    (px, py), (gx, gy) = _sobel(predicted), _sobel(true)
    slopes = masked_mean(_log_error(px, gx) + _log_error(py, gy), inner)
    dot = px * gx + py * gy + 1
    cosine = dot * torch.rsqrt((px.square() + py.square() + 1) * (gx.square() + gy.square() + 1))
    return depth + slopes + masked_mean((1 - cosine).clamp_min(0), inner)


def _log_error(a: Tensor, b: Tensor) -> Tensor:
    return torch.log1p(2 * (a - b).abs())


def _sobel(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives along x and y, [B, H - 2, W - 2]: 3x3 Sobel kernels, unnormalised, as in Hu et al.

    Sums of slices, not a convolution, so that autocast leaves the precision alone.
    """
    down = depth[:, :-2] + 2 * depth[:, 1:-1] + depth[:, 2:]
    across = depth[..., :-2] + 2 * depth[..., 1:-1] + depth[..., 2:]
    return down[..., :-2] - down[..., 2:], across[:, :-2] - across[:, 2:]


def _neighbourhood_valid(valid: Tensor) -> Tensor:
    down = valid[:, :-2] & valid[:, 1:-1] & valid[:, 2:]
    return down[..., :-2] & down[..., 1:-1] & down[..., 2:]


class _DepthEvaluator(PooledEvaluator):
    """Every metric pooled over the part's valid pixels."""

    def __init__(self, task: DepthTask) -> None:
        torchmetrics = import_torchmetrics()
        super().__init__(
            task.name,
            {
                "abs": torchmetrics.MeanAbsoluteError(),
                "rel": torchmetrics.MeanAbsolutePercentageError(),
                **{name: torchmetrics.MeanMetric(nan_strategy="disable") for name in ("delta1", "delta2", "delta3")},
                "rmse": torchmetrics.MeanSquaredError(squared=False),
                "abs_of_max": torchmetrics.MeanMetric(nan_strategy="disable"),
            },
        )
        self._predict = task.predict

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output: [B, 1, H, W]; target, valid: [B, H, W]."""
        known = valid & (target > 0)
        predicted, true = self._predict(output)[known], target[known]
        metrics = self.begin(known)
        for name in ("abs", "rel", "rmse"):
            metrics[name].update(predicted, true)

        near = predicted.clamp_min(NEAREST)
        ratio = torch.maximum(near / true, true / near)
        for power, name in enumerate(("delta1", "delta2", "delta3"), start=1):
            metrics[name].update(100.0 * (ratio <= 1.25**power))

        farthest = torch.where(known, target, 0.0).flatten(1).amax(1)
        metrics["abs_of_max"].update((predicted - true).abs() / farthest[:, None, None].expand_as(known)[known])
