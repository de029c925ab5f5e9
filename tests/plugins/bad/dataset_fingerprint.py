"""Forgets the seed in its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Dataset, hookimpl
from tests.plugins.good import GoodDataset


@dataclass
class Bad(GoodDataset):
    """Forgets the seed in its fingerprint."""

    name: ClassVar[str] = "bad"

    def fingerprint(self, cache: Path) -> str:
        return "0123456789abcdef"


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
