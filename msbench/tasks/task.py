"""What a task is: target, loss, metrics with directions, head kind, trivial predictor, picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class MetricSpec:
    """Direction and meaning of one metric. `in_delta`: whether it enters Δ_T (AdapMTL, eq. 7)."""

    better: Better
    label: str
    unit: str = ""
    in_delta: bool = True
    formula: str = ""


class Evaluator(Protocol):
    """Accumulates one task's metrics over a whole part; never a mean of per-batch means."""

    def update(self, output: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of raw head outputs (already resized to the target's grid)."""

    def compute(self) -> dict[str, float]:
        """Every metric of the task, by the names in `Task.metrics`."""


class Task(ABC):
    """One supervised output. Instances are small, immutable and free of tensors.

    name: key of its target in a batch, of its head in the model and of its metrics in a record.
    kind: the standard task it is ("segmentation", "depth", "normals", "edges", "keypoints", "attribute").
    head: "dense" (a map at input resolution) or "vector" (one vector an image).
    channels: channels that the head must emit.
    headline: the metric that a table shows when there is room for one.
    """

    kind: ClassVar[str]
    head: ClassVar[Literal["dense", "vector"]] = "dense"
    name: str
    channels: int
    headline: str

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, MetricSpec]:
        """Metric name to its specification, in display order."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Scalar training loss, never negative; zero (with gradient) when nothing is valid.

        output: [B, channels, H, W] for dense heads, [B, channels] for vector heads, raw (no activation).
        """

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """A fresh accumulator of this task's metrics."""

    @abstractmethod
    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        """Raw output [channels] of the best constant predictor for these training targets [N, ...].

        Majority class, median depth, mean direction and so on: the floor that a network must beat.
        """

    def flip(self, target: Tensor) -> Tensor:
        """The target of the horizontally mirrored image."""
        return target.flip(-1)

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        """The values of a target [B, ...] whose images are seen `factor` (float [B], at least 1) times larger.

        The pixels are cropped and enlarged already. Labels and strengths stay what they are; a distance does not.
        """
        return target

    @abstractmethod
    def picture(self, target: Tensor, valid: Tensor) -> Tensor:
        """uint8 [3, H, W] rendering of one target [...]; dense tasks only mark invalid pixels in black."""

    @abstractmethod
    def predict(self, output: Tensor) -> Tensor:
        """Raw output [B, channels, ...] to the target's form (labels, metres, unit vectors, probabilities)."""
