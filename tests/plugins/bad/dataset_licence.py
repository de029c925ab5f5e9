"""Says nothing about who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msbench.api import Dataset, hookimpl
from tests.plugins.good import GoodDataset


@dataclass
class Bad(GoodDataset):
    """Says nothing about who may use it."""

    name: ClassVar[str] = "bad"
    licence: ClassVar[str] = ""


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Bad]
