"""Gives samples in its own order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from msbench.api import Batch, Dataset, Part, Samples, TensorSamples, hookimpl
from tests.plugins.good import GoodDataset


class Sorted(TensorSamples):
    def batch(self, indices: Tensor) -> Batch:
        return super().batch(indices.sort().values)


@dataclass
class Bad(GoodDataset):
    """Gives samples in its own order."""

    name: ClassVar[str] = "bad"

    def samples(self, part: Part, cache: Path) -> Samples:
        good = super().samples(part, cache)
        return Sorted(good.image, good.target, good.valid)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
