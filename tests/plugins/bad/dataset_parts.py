"""Tests on what it trains on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Dataset, Part, Samples, hookimpl
from tests.plugins.good import GoodDataset


@dataclass
class Bad(GoodDataset):
    """Tests on what it trains on."""

    name: ClassVar[str] = "bad"

    def samples(self, part: Part, cache: Path) -> Samples:
        return super().samples("train" if part == "test" else part, cache)


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
