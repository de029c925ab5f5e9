"""One rendered tiny dataset for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench_plugins.datasets.rooms.dataset import Rooms


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def rooms(cache: Path) -> Rooms:
    dataset = Rooms(size="xs")
    dataset.prepare(cache, lambda done, total, what: None)
    return dataset
