"""The official MATLAB file with its lists and class map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from msbench.api import CorruptSampleError, Item, UserError

from ..pixels import line
from .derive import boundaries
from .files import MOST_VALUES, VOID, as_depth, as_normals, read_mat, read_rgb
from .ladicky import decode
from .layout import Layout, Split, existing
from .published import LABELED, MAPPING, SPLITS, read_splits
from .sample import Sample

NORMALS: Final = "nyu_normals_gt"
_SHAPES: Final = {"images": 4, "depths": 3, "rawDepths": 3, "labels": 3, "instances": 3}
"""Variables that are read, with their dimensions; MATLAB's order is reversed: sample, (channel,) column, row."""

_KINDS: Final = {"images": "u", "depths": "f", "rawDepths": "f", "labels": "u", "instances": "u"}
"""Kinds of their numbers."""

_MOST_NAMES: Final = 100_000
"""Of things, and letters of one: many times what the file has."""


@dataclass(frozen=True)
class Official(Layout):
    """nyu_depth_v2_labeled.mat (HDF5) with splits.mat and classMapping40.mat beside it, 480 x 640, 1449 images.

    Depth is the inpainted one where the sensor measured any. Edges are the borders between annotated instances,
    one pixel wide. Normals are those of Ladicky et al. where nyu_normals_gt/ lies beside the file, else derived.
    """

    name: ClassVar[str] = "mat"
    classes: ClassVar[int] = 40
    edges: ClassVar[bool] = True
    evidence: ClassVar = ((LABELED.file,),)
    source: ClassVar[str] = f"a folder with {LABELED}, {SPLITS} and {MAPPING}"
    note: ClassVar[str] = "edges: borders between annotated instances; depth counts where the sensor measured it"

    def has_normals(self, root: Path) -> bool:
        return (root / NORMALS).is_dir()

    def split(self, root: Path) -> Split:
        (data,) = existing(Official, root / LABELED.file)
        files = (data, *_beside(root / SPLITS.file, root / MAPPING.file))
        train, test = read_splits(files[1])
        _check(data, files[2], len(train) + len(test))
        normals = (
            {part: _normals(root / NORMALS / part) for part in ("train", "test")} if self.has_normals(root) else {}
        )

        def items(part: str, rows: list[int]) -> list[Item]:
            given = [_given(root / NORMALS / part, normals[part], row) if normals else () for row in rows]
            return [Item(f"{row + 1:04d}", files + more, row) for row, more in zip(rows, given, strict=True)]

        return Split(items("train", train), items("test", test))

    def read(self, item: Item) -> Sample:
        data, _, mapping, *normals = item.files
        with _opened(data) as file:
            try:
                stored = {name: file[name][item.row] for name in _SHAPES}
            except Exception as error:  # h5py raises whatever the damaged bytes lead it to
                raise CorruptSampleError(
                    f"{data}: sample {item.name} cannot be read ({line(error)}); get {LABELED}"
                ) from error
        fine, instances = stored["labels"].T, stored["instances"].T
        depth, raw = (as_depth(stored[name].T, data) for name in ("depths", "rawDepths"))
        return Sample(
            image=stored["images"].transpose(2, 1, 0),
            labels=_coarse(fine, mapping, item),
            depth=np.where(raw > 0, depth, np.float32(0)),
            normals=as_normals(decode(read_rgb(normals[0])), normals[0]) if normals else None,
            edges=boundaries(fine, instances),
        ).checked(item)


def _beside(*files: Path) -> tuple[Path, ...]:
    for file, published in zip(files, (SPLITS, MAPPING), strict=True):
        if not file.is_file():
            raise UserError(f"{file}: is missing; get {published}")
    return files


@contextmanager
def _opened(data: Path) -> Iterator[Any]:
    """The file, opened anew for each sample: an HDF5 handle is safe neither across threads nor across forks."""
    import h5py

    try:
        file = h5py.File(data, "r")
    except OSError as error:
        raise UserError(f"{data}: is not a whole HDF5 file ({error}); get {LABELED}") from error
    with file:
        yield file


def _check(data: Path, mapping: Path, count: int) -> None:
    """Whether file, split and class map belong together."""
    with _opened(data) as file:
        try:
            _check_variables(file, data, count)
            names = _names(file)
        except UserError:
            raise
        except Exception as error:  # h5py raises whatever the damaged bytes lead it to
            raise UserError(f"{data}: is damaged ({line(error)}); get {LABELED}") from error
    expected = [str(name[0]) if len(name) else "" for name in read_mat(mapping, "allClassName", "cells").ravel()]
    if names != expected:
        raise UserError(f"{mapping}: its allClassName are not the names in {data.name}; get {MAPPING}")


def _check_variables(file: Any, data: Path, count: int) -> None:
    """Whether all variables are there, of numbers in this file itself, and a sample of them is of a sensible size."""
    for name, dimensions in _SHAPES.items():
        shape = file[name].shape if name in file else None
        if shape is None or len(shape) != dimensions or shape[0] != count:
            raise UserError(
                f"{data}: '{name}' has shape {shape}; expected {dimensions} dimensions, the first of the "
                f"{count} samples in {SPLITS.file}; get {LABELED}"
            )
        stored = file[name]
        at_once = max(math.prod(shape[1:]), math.prod(stored.chunks or ()))
        own = stored.external is None and not stored.is_virtual
        if stored.dtype.kind not in _KINDS[name] or not own or not 0 < at_once <= MOST_VALUES:
            raise UserError(f"{data}: '{name}' holds {stored.dtype} of shape {shape}; get {LABELED}")
    if file["images"].dtype != np.uint8 or file["images"].shape[1] != 3:
        raise UserError(f"{data}: 'images' are not of three colours of one byte; get {LABELED}")


def _names(file: Any) -> list[str]:
    """The annotators' names of things, which the file has as references to arrays of characters."""
    cells = file["names"]
    if cells.size > _MOST_NAMES:
        raise ValueError(f"{cells.size} names")
    texts = [file[reference] for reference in cells[:].ravel()]
    if any(text.size > _MOST_NAMES for text in texts):
        raise ValueError("a name without end")
    return ["".join(map(chr, text[:].ravel())) for text in texts]


def _coarse(fine: np.ndarray, mapping: Path, item: Item) -> np.ndarray:
    """Labels from 0 (255 = void) of the annotators' labels (0 = void)."""
    table = read_mat(mapping, "mapClass").ravel()
    if fine.max() > len(table):
        raise CorruptSampleError(
            f"{item.files[0]}: sample {item.name} has label {fine.max()}, but {mapping.name} ends at {len(table)}; "
            f"get {LABELED}"
        )
    if not np.isin(table, np.arange(1, 41)).all():
        raise UserError(f"{mapping}: mapClass holds classes outside 1 to 40; get {MAPPING}")
    coarse: np.ndarray = np.concatenate([[VOID], table.astype(np.int64) - 1])[fine].astype(np.uint8)
    return coarse


def _normals(folder: Path) -> dict[int, Path]:
    """Files by the number of the official image, counted from 1, with which their names end."""
    return {int(file.stem[-4:]): file for file in sorted(folder.glob("*.png")) if file.stem[-4:].isdigit()}


def _given(folder: Path, files: dict[int, Path], row: int) -> tuple[Path]:
    if row + 1 not in files:
        raise UserError(
            f"{folder}: no normals of image {row + 1:04d}; unpack nyu_normals_gt.zip "
            "(inf.ethz.ch/personal/ladickyl/nyu_normals_gt.zip) again, or move the folder away to derive them"
        )
    return (files[row + 1],)
