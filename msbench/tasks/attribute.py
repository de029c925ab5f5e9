"""One yes-or-no question about the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.tasks.pooling import PooledEvaluator, import_torchmetrics, masked_mean
from msbench.tasks.task import MetricSpec, Task

_TILE = 16
_YES, _NO = (0, 158, 115), (213, 94, 0)

_METRICS = {
    "accuracy": MetricSpec("higher", "accuracy", "%", formula="correct images / valid images, threshold 0.5"),
    "majority_rate": MetricSpec(
        "higher", "majority rate", "%", False, "images of the more frequent answer / valid images: whatever the network"
    ),
    "balanced_accuracy": MetricSpec("higher", "balanced acc.", "%", False, "mean recall of the classes present"),
    "f1": MetricSpec("higher", "F1", "%", False, "2TP / (2TP + FP + FN), threshold 0.5; 0 without positives"),
}

_ANSWERS = ("accuracy", "balanced_accuracy")
"""Of which one stands for the task."""


@dataclass(frozen=True)
class AttributeTask(Task):
    """A binary attribute. Target: 0 or 1, any dtype, [B].

    label: what the attribute is called where people read it; the name when empty.
    positive_weight: factor of the positives in the loss, above 1 where they are rare.
    balanced: balanced accuracy stands for the task (headline and Δ_T) in place of accuracy. For data whose parts differ
        in their share of positives: there accuracy rewards the answer that happens to be frequent, and what the best
        constant scores says nothing.
    """

    kind: ClassVar[str] = "attribute"
    head: ClassVar[Literal["dense", "vector"]] = "vector"
    name: str = "attribute"
    label: str = ""
    positive_weight: float = 1.0
    balanced: bool = False
    headline: str = field(init=False, repr=False)
    channels = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "headline", "balanced_accuracy" if self.balanced else "accuracy")
        if not self.positive_weight > 0:
            raise ValueError(f"task {self.name!r}: positive_weight: expected above 0, got {self.positive_weight}")

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        return {
            name: replace(spec, in_delta=name == self.headline) if name in _ANSWERS else spec
            for name, spec in _METRICS.items()
        }

    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Binary cross entropy of the raw output (never after a sigmoid), mean over valid images."""
        logit = output[:, 0]
        true = torch.where(valid, target, 0).to(logit.dtype)
        weight = logit.new_tensor(self.positive_weight)
        return masked_mean(F.binary_cross_entropy_with_logits(logit, true, pos_weight=weight, reduction="none"), valid)

    def evaluator(self) -> _AttributeEvaluator:
        return _AttributeEvaluator(self)

    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """The logit of the share of positives: its sign is the majority's."""
        known = target[valid].double()
        return torch.logit((known.sum() + 0.5) / (len(known) + 1)).float()[None]

    def flip(self, target: Tensor) -> Tensor:
        """The same: an attribute does not depend on the side."""
        return target

    def predict(self, output: Tensor) -> Tensor:
        """Probability [B]."""
        return output[:, 0].sigmoid()

    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        """A green (yes), red (no) or black (invalid) tile of 16x16 pixels."""
        if not valid:
            return torch.zeros(3, _TILE, _TILE, dtype=torch.uint8)
        colour = torch.tensor(_YES if target > 0.5 else _NO, dtype=torch.uint8)
        return colour[:, None, None].expand(3, _TILE, _TILE).contiguous()


class _AttributeEvaluator(PooledEvaluator):
    """One 2x2 confusion matrix over the part."""

    def __init__(self, task: AttributeTask) -> None:
        classification = import_torchmetrics().classification
        super().__init__(task.name, {"confusion": classification.BinaryConfusionMatrix(validate_args=False)})

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """output: [B, 1]; target, valid: [B]."""
        # labels, not scores: torchmetrics would apply a sigmoid to some batches and not to others
        predicted = (output[valid, 0] >= 0).long()
        self.begin(valid)["confusion"].update(predicted, target[valid].long())

    def results(self) -> dict[str, float]:
        confusion = self._metrics["confusion"].compute().double()
        (_, fp), (fn, tp) = confusion.tolist()
        truths = confusion.sum(1)
        recall = (confusion.diag() / truths)[truths > 0]
        return {
            "accuracy": 100.0 * float(confusion.diag().sum() / truths.sum()),
            "majority_rate": 100.0 * float(truths.max() / truths.sum()),
            "balanced_accuracy": 100.0 * float(recall.mean()),
            "f1": 200.0 * tp / max(2 * tp + fp + fn, 1.0),
        }
