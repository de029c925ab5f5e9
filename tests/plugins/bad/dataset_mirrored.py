"""Leaves labels as they are when their images are mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from msbench.api import Dataset, SegmentationTask, Task, hookimpl
from tests.plugins.good import GoodDataset


class Unflipped(SegmentationTask):
    def flip(self, target: Tensor) -> Tensor:
        return target


@dataclass
class Bad(GoodDataset):
    """Leaves labels as they are when their images are mirrored."""

    name: ClassVar[str] = "bad"

    def tasks(self) -> tuple[Task, ...]:
        return (Unflipped(classes=("dark", "light")),)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
