"""Has a default task that it does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Dataset, hookimpl
from tests.plugins.good import GoodDataset


@dataclass
class Bad(GoodDataset):
    """Has a default task that it does not have."""

    name: ClassVar[str] = "bad"

    def default_tasks(self) -> tuple[str, ...]:
        return ("depth",)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
