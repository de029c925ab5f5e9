"""Bytes of a data folder that were flipped, cut, spliced or zeroed: a sample as it should be, or one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.packing_helpers import in_a_process
from tests.fuzz.data_trees import MAKERS, MAT, Tree, everything
from tests.fuzz.hostile_files import mended
from tests.fuzz.mutations import mutated

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
SHARED = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
}
Trees = Callable[[str], Tree]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    """A valid tree by the name of its maker, each written once."""

    @cache
    def write(name: str) -> Tree:
        return Tree.write(MAKERS.get(name, MAT), tmp_path_factory.mktemp("tree") / "data")

    return write


def check(tree: Tree, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(tree.files))
    raw = file.read_bytes()
    changed = data.draw(mutated(raw) | mended(raw) if file.suffix == ".png" else mutated(raw))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # arithmetic with what was not looked at first
        tree.check(file, changed)


@pytest.mark.parametrize("name", list(MAKERS))
def test_mutated_files(name: str, trees: Trees) -> None:
    tree = trees(name)
    before = everything(tree.root.parent)

    @settings(max_examples=15, **SHARED)
    @given(data=st.data())
    def examples(data: st.DataObject) -> None:
        check(tree, data)

    examples()
    assert everything(tree.root.parent) == before


@pytest.mark.long
@pytest.mark.parametrize("name", list(MAKERS))
@settings(max_examples=2_000, **SHARED)
@given(data=st.data())
def test_many_mutated_files(name: str, data: st.DataObject, trees: Trees) -> None:
    check(trees(name), data)


def check_hdf5(tree: Tree, examples: int, folder: Path) -> None:
    """In another process: the library that reads HDF5 could take its process with it, which is a finding."""

    @settings(max_examples=examples, **SHARED)
    @given(data=st.data())
    def all_examples(data: st.DataObject) -> None:
        check(tree, data)

    process = in_a_process(all_examples, folder / "failure.txt")
    process.join(550)
    assert process.exitcode == 0, (folder / "failure.txt").read_text() if process.exitcode == 1 else process.exitcode


def test_mutated_hdf5(trees: Trees, tmp_path: Path) -> None:
    check_hdf5(trees("nyuv2 mat"), 60, tmp_path)


@pytest.mark.long
def test_much_mutated_hdf5(trees: Trees, tmp_path: Path) -> None:
    check_hdf5(trees("nyuv2 mat"), 3_000, tmp_path)
