"""Semantic segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.tasks.colours import Colour, blacken, palette
from msbench.tasks.pooling import PooledEvaluator, import_torchmetrics
from msbench.tasks.task import MetricSpec, Task

IGNORE = 255
"""Label of pixels without ground truth; they count nowhere, marked invalid or not."""

_METRICS = {
    "miou": MetricSpec("higher", "mIoU", "%", formula="mean over classes in the ground truth of TP/(TP+FP+FN)"),
    "pixel_accuracy": MetricSpec("higher", "pixel acc.", "%", formula="correct pixels / valid pixels of the part"),
    "iou_micro_img": MetricSpec(
        "higher",
        "IoU (micro, per image)",
        "%",
        False,
        "mean over images of ΣTP/Σ(TP+FP+FN), sums over classes",
    ),
}


@dataclass(frozen=True)
class SegmentationTask(Task):
    """A label for each pixel. Target: int64 [B, H, W], 0 to len(classes) - 1, or 255 (ignored).

    classes: names, in label order. palette: RGB for each class; empty for a generated one.
    smoothing: label smoothing of the cross entropy (the meta-sparsity papers use 0.1).
    """

    kind: ClassVar[str] = "segmentation"
    name: str = "segmentation"
    classes: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()
    smoothing: float = 0.0
    channels: int = field(init=False, repr=False)
    headline = "miou"

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"task {self.name!r}: classes: expected at least 2, got {len(self.classes)}")
        if self.palette and len(self.palette) != len(self.classes):
            raise ValueError(f"task {self.name!r}: {len(self.palette)} colours for {len(self.classes)} classes")
        object.__setattr__(self, "channels", len(self.classes))

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return _METRICS

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Cross entropy, mean over valid pixels."""
        known = valid & (target != IGNORE)
        labels = torch.where(known, target, IGNORE)
        total = F.cross_entropy(output, labels, ignore_index=IGNORE, reduction="sum", label_smoothing=self.smoothing)
        return total / known.sum().clamp_min(1)

    def evaluator(self) -> _SegmentationEvaluator:
        return _SegmentationEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """Log class frequencies: the least cross entropy, and the majority class as prediction."""
        labels = target[valid & (target != IGNORE)].flatten()
        counts = torch.bincount(labels, minlength=self.channels).double() + 1
        return (counts / counts.sum()).log().float()

    def predict(self, output: Tensor) -> Tensor:
        # max().indices is 3 to 10 times as fast as argmax over a dimension that is not the last, on a CPU
        return output.max(1).indices

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        known = valid & (target != IGNORE)
        colours = torch.tensor(self.palette or palette(self.channels), dtype=torch.uint8, device=target.device)
        return blacken(colours[torch.where(known, target, 0)].movedim(-1, 0), known)


class _SegmentationEvaluator(PooledEvaluator):
    """One confusion matrix over the part, and one micro IoU for each image."""

    def __init__(self, task: SegmentationTask) -> None:
        torchmetrics = import_torchmetrics()
        confusion = torchmetrics.classification.MulticlassConfusionMatrix(task.channels, validate_args=False)
        per_image = torchmetrics.MeanMetric(nan_strategy="disable")
        super().__init__(task.name, {"confusion": confusion, "per_image": per_image})
        self._predict = task.predict

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output: [B, C, H, W]; target, valid: [B, H, W]."""
        known = valid & (target != IGNORE)
        predicted = self._predict(output)
        metrics = self.begin(known)
        metrics["confusion"].update(predicted[known], target[known])

        # one label a pixel: a wrong pixel is a false positive of one class and a false negative of another
        pixels = known.flatten(1).sum(1)
        correct = (known & (predicted == target)).flatten(1).sum(1)
        iou = 100.0 * correct / (2 * pixels - correct).clamp_min(1)
        metrics["per_image"].update(iou[pixels > 0])

    def results(self) -> dict[str, float]:
        confusion = self._metrics["confusion"].compute().double()
        hits, truths = confusion.diag(), confusion.sum(1)
        present = truths > 0
        iou = hits[present] / (truths + confusion.sum(0) - hits)[present]
        return {
            "miou": 100.0 * float(iou.mean()),
            "pixel_accuracy": 100.0 * float(hits.sum() / truths.sum()),
            "iou_micro_img": float(self._metrics["per_image"].compute()),
        }
