"""Files of another kind, size or type in a data folder, and bombs: a sample as it should be, or one line."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import pytest

from msbench.api import CorruptSampleError, UserError
from msbench_plugins.datasets.nyuv2.files import read_mat
from msbench_plugins.datasets.pixels import read_array, read_picture
from tests.data.packing_helpers import in_a_process
from tests.fuzz.data_trees import MAKERS, MAT, Tree, everything
from tests.fuzz.hostile_files import bomb, bombs, cells, others, picture, promise

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
ROOM = 300_000
"""kB that reading may take beside what a process has."""


def check(tree: Tree, changes: Iterable[tuple[Path, bytes]]) -> None:
    before = everything(tree.root.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # arithmetic with what was not looked at first
        for file, raw in changes:
            tree.check(file, raw)
    assert everything(tree.root.parent) == before


@pytest.mark.parametrize("name", [*MAKERS, "nyuv2 mat"])
def test_other_files(name: str, tmp_path: Path) -> None:
    """Each of them in place of one file of the tree, in turn."""
    tree = Tree.write(MAKERS.get(name, MAT), tmp_path / "data")
    check(tree, zip(cycle(tree.files), {**others(), **bombs()}.values(), strict=False))


@pytest.mark.long
@pytest.mark.parametrize("name", [*MAKERS, "nyuv2 mat"])
def test_other_files_everywhere(name: str, tmp_path: Path) -> None:
    tree = Tree.write(MAKERS.get(name, MAT), tmp_path / "data")
    check(tree, product(tree.files, {**others(), **bombs()}.values()))


def peak() -> int:
    """The most address space that this process has had, in kB."""
    found = re.search(r"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory a process took")
def test_small_files_do_not_fill_memory(tmp_path: Path) -> None:
    readers = (read_picture, read_array, lambda file: read_mat(file, "depth", "cells"))

    def read_all() -> None:
        before = peak()
        for name, raw in {**bombs(), "cells": cells(2**31 - 1)}.items():
            (tmp_path / name).write_bytes(raw)
            for read in readers:
                try:
                    read(tmp_path / name)
                    raise AssertionError(f"{name} was read")
                except CorruptSampleError:
                    pass
        assert peak() < before + ROOM

    failure = tmp_path / "failure.txt"
    process = in_a_process(read_all, failure)
    process.join(60)
    assert process.exitcode == 0, failure.read_text() if failure.exists() else process.exitcode


def test_a_bomb_is_named_before_it_goes_off(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(12_000, 12_000))
    with pytest.raises(CorruptSampleError, match=r"a\.png: .*12000 x 12000 pixels"):
        read_picture(tmp_path / "a.png")
    (tmp_path / "a.npy").write_bytes(promise("(30000, 30000)"))
    with pytest.raises(CorruptSampleError, match=r"a\.npy: .*shape \(30000, 30000\) in a file of"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_a_picture_is_png_or_jpeg_whatever_its_name(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("RGB", form=form))
    with pytest.raises(CorruptSampleError, match="cannot identify image file"):
        read_picture(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(picture("RGB", form="JPEG"))
    assert read_picture(tmp_path / "a.png").size == (32, 24)


def test_objects_are_refused_and_what_makes_them_does_not_run(tmp_path: Path) -> None:
    call = f"cos\nmkdir\n(S'{tmp_path / 'made'}'\ntR.".encode()
    for name, raw in (("header", promise("(1,)", "|O", content=call)), ("alone", call)):
        (tmp_path / f"{name}.npy").write_bytes(raw)
        with pytest.raises(CorruptSampleError, match=rf"{name}\.npy: cannot be read as \.npy"):
            read_array(tmp_path / f"{name}.npy")
    assert not (tmp_path / "made").exists()


def read_all(tree: Tree) -> None:
    dataset = replace(tree.dataset)
    for items in dataset.index(tree.root).values():
        for item in items:
            dataset.decode(item)


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_pipe_or_a_folder_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    tree = Tree.write(MAKERS[name], tmp_path / "data")
    for file in (tree.files[0], tree.files[-1]):  # a list where there is one, and an image
        good = file.read_bytes()
        file.unlink()
        for make, remove in ((os.mkdir, os.rmdir), (os.mkfifo, os.unlink)):
            make(file)
            with contextlib.suppress(UserError):  # unless the tree has another layout without this file
                read_all(tree)
            remove(file)
        file.write_bytes(good)
