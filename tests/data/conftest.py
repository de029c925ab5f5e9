"""One rendered tiny dataset for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from msbench_plugins.datasets.rooms.dataset import Rooms


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that spin for tiny tensors make tests slow where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def rooms(cache: Path) -> Rooms:
    dataset = Rooms(size="xs")
    dataset.prepare(cache, lambda done, total, what: None)
    return dataset
