"""Has a task whose constant predictor is not a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Dataset, SegmentationTask, Task, hookimpl
from tests.plugins.good import GoodDataset


class Boundless(SegmentationTask):
    def constant(self, target: Tensor, valid: Tensor) -> Tensor:
        return torch.full((self.channels,), float("nan"))


@dataclass
class Bad(GoodDataset):
    """Has a task whose constant predictor is not a number."""

    name: ClassVar[str] = "bad"

    def tasks(self) -> tuple[Task, ...]:
        return (Boundless(classes=("dark", "light")),)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
