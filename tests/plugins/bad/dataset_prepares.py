"""Prepares once, and fails when that is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Dataset, Progress, hookimpl
from tests.plugins.good import GoodDataset


@dataclass
class Bad(GoodDataset):
    """Prepares once, and fails when that is done."""

    name: ClassVar[str] = "bad"

    def prepare(self, cache: Path, progress: Progress) -> None:
        (cache / f"once-{self.seed}").mkdir()
        super().prepare(cache, progress)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
