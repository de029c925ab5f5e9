"""Reading .npy files: what numpy wrote, also from several threads at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from msbench_plugins.datasets.pixels import read_array

NUMBERS = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("kind", ["u1", "<i2", ">i4", "<f4", ">f8", "?"])
@pytest.mark.parametrize("values", [NUMBERS, NUMBERS.T, NUMBERS[:, 0], np.array(7)], ids=["C", "F", "2D", "0D"])
def test_an_array_is_what_numpy_wrote(tmp_path: Path, values: np.ndarray, kind: str) -> None:
    file = tmp_path / "values.npy"
    np.save(file, values.astype(kind))
    found = read_array(file)
    assert found.dtype == np.dtype(kind)
    np.testing.assert_array_equal(found, np.load(file))


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change places, and garbage is collected, as often as Python can."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


class Garbage:
    """A cycle that runs Python code when it is collected, in the middle of whatever made the last object."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.mark.usefixtures("restless")
def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = tmp_path / "values.npy"
    np.save(file, NUMBERS)

    def read(_: int) -> bool:
        Garbage()
        return bool((read_array(file) == NUMBERS).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4000)))
