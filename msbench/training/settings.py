"""Training settings and the allowance, as small values with their arithmetic inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Interval

from msbench.errors import AllowanceExceededError


@dataclass(frozen=True)
class TrainingSettings:
    """How every run of a board is trained (`training.FIELD=value`).

    samples: the training allowance, samples that go forward and backward.
    batch: samples a step.
    lr: peak learning rate of AdamW; it rises linearly over `warmup` (share of the allowance) and falls to zero
        along a half cosine. It depends on the samples spent, never on the method.
    warmup: share of the allowance over which the learning rate rises.
    weight_decay: decoupled, on convolution and linear weights only.
    flip: mirror images at random, each with probability one half (MTML, AdaShare, DiSparse, AdapMTL; the released
        code of Less-is-More does not).
    zoom: largest factor by which images are enlarged at random, 1 for never: a crop, resized to the old size. Depth is
        divided by the factor and normals follow (AdaShare, DiSparse and AdapMTL draw 0.5 to 1.5 and leave both as they
        are; Eigen et al. divide the depth; the meta-sparsity papers do not zoom). Keep it small for attributes of
        whole images, whose reason may be cropped away.
    jitter: how much brightness, contrast and saturation change at random: factors between 1 - jitter and 1 + jitter,
        0 for none (none of the papers behind the presets).
    evaluations: evenly spaced evaluations on validation data over the allowance.
    balancer: how the tasks' losses become one (a loss balancer's name).
    amp: bfloat16 autocast.
    compile: plain training steps run the network through torch.compile. It is off since compiling takes a minute or
        more, and numbers differ in the last digits; what methods look into (criteria, meta-training, latent weights)
        always is the network itself.
    data_on_device: the training part is read once into the memory of the device that trains, and batches are gathered
        and augmented there (bytes stay bytes). For data that fits; one line says so where it does not.
    """

    samples: Annotated[int, Gt(0)] = 8000
    batch: Annotated[int, Ge(2)] = 16
    lr: Annotated[float, Gt(0)] = 4e-3
    warmup: Annotated[float, Interval(gt=0, lt=1)] = 0.15
    weight_decay: Annotated[float, Ge(0)] = 1e-3
    flip: bool = True
    zoom: Annotated[float, Interval(ge=1, le=4)] = 1.0
    jitter: Annotated[float, Interval(ge=0, le=1)] = 0.0
    evaluations: Annotated[int, Ge(1)] = 8
    balancer: str = "uncertainty"
    amp: bool = False
    compile: bool = False
    data_on_device: bool = False

    def lr_at(self, progress: float) -> float:
        """Learning rate when this share of the allowance is spent."""
        if progress < self.warmup:
            return self.lr * max(progress, 1e-3) / self.warmup
        falling = (min(progress, 1.0) - self.warmup) / (1.0 - self.warmup)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * falling))


@dataclass
class Allowance:
    """Samples that a run may send forward and backward, and those that it has."""

    samples: int
    spent: int = 0

    @property
    def left(self) -> int:
        return self.samples - self.spent

    @property
    def progress(self) -> float:
        """Share spent."""
        return self.spent / self.samples

    def spend(self, samples: int) -> None:
        """Account for a forward and backward pass, before it happens; raises AllowanceExceededError."""
        if samples > self.left:
            raise AllowanceExceededError(
                f"the sparsifier asked for {samples} more samples, but {self.spent} of {self.samples} are spent"
            )
        self.spent += samples
