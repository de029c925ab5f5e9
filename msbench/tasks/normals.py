"""Surface normals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.tasks.colours import blacken
from msbench.tasks.pooling import PooledEvaluator, import_torchmetrics, masked_mean
from msbench.tasks.task import MetricSpec, Task

_SHORTEST = 1e-4
"""Outputs shorter than this are not stretched to unit length: the gradient there would be unbounded."""

_BIN = 0.005
"""Degrees: width of the bins that the median is read from."""

_BOUNDS = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}

_METRICS = {
    "mean": MetricSpec("lower", "mean angle", "°", formula="mean angle to the true normal"),
    "median": MetricSpec("lower", "median angle", "°", formula=f"median angle, to {_BIN}°"),
    **{
        name: MetricSpec("higher", f"≤ {bound}°", "%", formula=f"share of pixels with an angle ≤ {bound}°")
        for name, bound in _BOUNDS.items()
    },
    "cosine": MetricSpec("higher", "cosine", "", False, "mean cosine similarity"),
}


@dataclass(frozen=True)
class NormalsTask(Task):
    """A unit vector for each pixel. Target: float [B, 3, H, W], first component to the right, third along the
    optical axis.
    """

    kind: ClassVar[str] = "normals"
    name: str = "normals"
    channels = 3
    headline = "mean"

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return _METRICS

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """1 - cosine, mean over valid pixels."""
        true = _unit(torch.where(valid[:, None], target, 0.0))
        return masked_mean((1 - (self.predict(output) * true).sum(1)).clamp_min(0), valid)

    def evaluator(self) -> _NormalsEvaluator:
        return _NormalsEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """The normalised mean normal, which has the greatest mean cosine."""
        normals = F.normalize(target, dim=1).movedim(1, -1)[valid]
        mean = normals.sum(0)
        return F.normalize(mean, dim=0) if mean.norm() > 0 else mean.new_tensor([0.0, 0.0, 1.0])

    def flip(self, target: Tensor) -> Tensor:
        """Mirroring also turns left-pointing normals to the right. target: [..., 3, H, W]."""
        sign = target.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
        return target.flip(-1) * sign

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        """Third component times `factor`, unit length again: the normals of the scene whose depth was divided.

        That scene is the true one under (X, Y, Z) -> (X, Y, Z / factor), and normals transform by the inverse
        transpose. A plane tilted by the angle a is then tilted by arctan(tan(a) / factor).
        """
        flattened = torch.stack([target[:, 0], target[:, 1], target[:, 2] * factor.to(target).view(-1, 1, 1)], 1)
        return _unit(flattened)

    def predict(self, output: Tensor) -> Tensor:
        """Unit vectors [B, 3, H, W]."""
        return _unit(output)

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        """Red, green and blue are (component + 1) / 2."""
        colour = (F.normalize(target, dim=-3).nan_to_num(0.0) + 1) * 127.5
        return blacken(colour.round().to(torch.uint8), valid)


class _NormalsEvaluator(PooledEvaluator):
    """Angles pooled over the part; the median from a histogram: memory does not grow with the part."""

    def __init__(self, task: NormalsTask) -> None:
        torchmetrics = import_torchmetrics()
        means = ("mean", *_BOUNDS, "cosine")
        super().__init__(task.name, {name: torchmetrics.MeanMetric(nan_strategy="disable") for name in means})
        self._histogram = torch.zeros(round(180 / _BIN) + 1, dtype=torch.int64)
        self._predict = task.predict

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output, target: [B, 3, H, W]; valid: [B, H, W]."""
        metrics = self.begin(valid)
        angle = _angle(self._predict(output), _unit(target))[valid]
        metrics["mean"].update(angle)
        metrics["cosine"].update(angle.deg2rad().cos())
        for name, bound in _BOUNDS.items():
            metrics[name].update(100.0 * (angle <= bound))

        bins = (angle.nan_to_num(180.0) / _BIN).long()
        self._histogram += torch.bincount(bins, minlength=len(self._histogram)).cpu()

    def results(self) -> dict[str, float]:
        found = super().results()
        middle = (self._histogram.sum() + 1) // 2
        position = int(torch.searchsorted(self._histogram.cumsum(0), middle))
        found["median"] = (position + 0.5) * _BIN
        return {name: found[name] for name in _METRICS}


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between unit vectors [B, 3, H, W], from the half angle's tangent: exact where arccos is not."""
    return 2 * torch.atan2(_length(a - b), _length(a + b)).rad2deg()


def _length(vectors: Tensor) -> Tensor:
    """Length over dimension 1. A sum over three planes: torch's vector norm over that dimension is 10 times slower."""
    return vectors.square().sum(1).sqrt()


def _unit(vectors: Tensor) -> Tensor:
    """Vectors [B, 3, H, W] scaled to length 1; one shorter than `_SHORTEST` keeps its direction but not its length."""
    return vectors * vectors.square().sum(1, keepdim=True).clamp_min(_SHORTEST**2).rsqrt()
