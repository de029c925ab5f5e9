"""Gives images from 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from msbench.api import Batch, Dataset, Part, Samples, TensorSamples, hookimpl
from tests.plugins.good import GoodDataset


class Bright(TensorSamples):
    def batch(self, indices: Tensor) -> Batch:
        batch = super().batch(indices)
        return Batch(batch.image * 255, batch.target, batch.valid)


@dataclass
class Bad(GoodDataset):
    """Gives images from 0 to 255."""

    name: ClassVar[str] = "bad"

    def samples(self, part: Part, cache: Path) -> Samples:
        good = super().samples(part, cache)
        return Bright(good.image, good.target, good.valid)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
