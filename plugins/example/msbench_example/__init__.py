"""A sparsifier, a dataset and a head for msbench, as a package of its own."""

from __future__ import annotations

from msbench.api import Dataset, Head, Sparsifier, hookimpl
from msbench_example.discs import Discs
from msbench_example.finest import Finest
from msbench_example.synflow import SynFlow

msbench_requires = ">=0.1,<1"


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [SynFlow]


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    return [Discs]


@hookimpl
def msbench_heads() -> list[type[Head]]:
    return [Finest]
