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
    "miou_hit": MetricSpec(
        "higher", "mIoU of hit classes", "%", False, "mean over classes with TP > 0 of TP/(TP+FP+FN); 0 without any"
    ),
    "cross_entropy": MetricSpec(
        "lower", "cross entropy", "", False, "Σ w(g) · -ln p(g) / Σ w(g) over valid pixels; w = 1 without class weights"
    ),
}


@dataclass(frozen=True)
class SegmentationTask(Task):
    """A label for each pixel. Target: int64 [B, H, W], 0 to len(classes) - 1, or 255 (ignored).

    classes: names, in label order. palette: RGB for each class; empty for a generated one.
    smoothing: label smoothing of the cross entropy (the meta-sparsity papers use 0.1).
    class_weights: factor of each class in the cross entropy, in label order; empty for one (Taskonomy in AdaShare and
        AdapMTL weighs by prior; MTML gives the background 0.1).
    """

    kind: ClassVar[str] = "segmentation"
    name: str = "segmentation"
    classes: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()
    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    channels: int = field(init=False, repr=False)
    headline = "miou"

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"task {self.name!r}: classes: expected at least 2, got {len(self.classes)}")
        if self.palette and len(self.palette) != len(self.classes):
            raise ValueError(f"task {self.name!r}: {len(self.palette)} colours for {len(self.classes)} classes")
        if self.class_weights and len(self.class_weights) != len(self.classes):
            raise ValueError(f"task {self.name!r}: {len(self.class_weights)} weights for {len(self.classes)} classes")
        if not all(weight > 0 for weight in self.class_weights):
            raise ValueError(f"task {self.name!r}: class_weights: expected all above 0, got {self.class_weights}")
        object.__setattr__(self, "channels", len(self.classes))

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return _METRICS

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Cross entropy, mean over valid pixels, each counted with the weight of its class."""
        known = valid & (target != IGNORE)
        labels = torch.where(known, target, IGNORE)
        weight = self.weights(output)
        total = F.cross_entropy(
            output, labels, weight, ignore_index=IGNORE, reduction="sum", label_smoothing=self.smoothing
        )
        if weight is None:
            return total / known.sum().clamp_min(1)
        counted = torch.where(known, weight[torch.where(known, target, 0)], 0.0)
        return total / counted.sum().clamp_min(min(self.class_weights))

    def weights(self, like: Tensor) -> Tensor | None:
        """The class weights [classes] in the dtype and on the device of another tensor; None where all are one."""
        return like.new_tensor(self.class_weights) if self.class_weights else None

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
    """One confusion matrix over the part, one micro IoU for each image, and the cross entropy."""

    def __init__(self, task: SegmentationTask) -> None:
        torchmetrics = import_torchmetrics()
        confusion = torchmetrics.classification.MulticlassConfusionMatrix(task.channels, validate_args=False)
        per_image = torchmetrics.MeanMetric(nan_strategy="disable")
        # two sums: without its search for NaN, torchmetrics' mean leaves the weights out
        sums = {name: torchmetrics.SumMetric(nan_strategy="disable") for name in ("surprise", "weight")}
        super().__init__(task.name, {"confusion": confusion, "per_image": per_image, **sums})
        self._predict, self._weights = task.predict, task.weights

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

        labels = torch.where(known, target, IGNORE)
        surprise = F.cross_entropy(output, labels, ignore_index=IGNORE, reduction="none")[known]
        weights = self._weights(output)
        weight = torch.ones_like(surprise) if weights is None else weights[target[known]]
        metrics["surprise"].update(surprise * weight)
        metrics["weight"].update(weight)

    def results(self) -> dict[str, float]:
        confusion = self._metrics["confusion"].compute().double()
        hits, truths = confusion.diag(), confusion.sum(1)
        iou = hits / (truths + confusion.sum(0) - hits).clamp_min(1)
        hit = iou[hits > 0]
        return {
            "miou": 100.0 * float(iou[truths > 0].mean()),
            "pixel_accuracy": 100.0 * float(hits.sum() / truths.sum()),
            "iou_micro_img": float(self._metrics["per_image"].compute()),
            "miou_hit": 100.0 * float(hit.mean()) if len(hit) else 0.0,
            "cross_entropy": float(self._metrics["surprise"].compute() / self._metrics["weight"].compute()),
        }
