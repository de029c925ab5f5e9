"""The official MATLAB file with its lists and class map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from msbench.api import CorruptSampleError, Item, UserError

from .derive import boundaries
from .files import VOID, as_depth, as_normals, read_mat, read_rgb
from .ladicky import decode
from .layout import Layout, Split, existing
from .published import LABELED, MAPPING, SPLITS, read_splits
from .sample import Sample

NORMALS: Final = "nyu_normals_gt"
_SHAPES: Final = {"images": 4, "depths": 3, "rawDepths": 3, "labels": 3, "instances": 3}
"""Variables that are read, with their dimensions; MATLAB's order is reversed: sample, (channel,) column, row."""


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
            except (OSError, ValueError) as error:
                raise CorruptSampleError(
                    f"{data}: sample {item.name} cannot be read ({error}); get {LABELED}"
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
        for name, dimensions in _SHAPES.items():
            shape = file[name].shape if name in file else None
            if shape is None or len(shape) != dimensions or shape[0] != count:
                raise UserError(
                    f"{data}: '{name}' has shape {shape}; expected {dimensions} dimensions, the first of the "
                    f"{count} samples in {SPLITS.file}; get {LABELED}"
                )
        names = ["".join(map(chr, file[ref][:].ravel())) for ref in file["names"][:].ravel()]
    expected = [str(name[0]) for name in read_mat(mapping, "allClassName").ravel()]
    if names != expected:
        raise UserError(f"{mapping}: its allClassName are not the names in {data.name}; get {MAPPING}")


def _coarse(fine: np.ndarray, mapping: Path, item: Item) -> np.ndarray:
    """Labels from 0 (255 = void) of the annotators' labels (0 = void)."""
    table = read_mat(mapping, "mapClass").ravel()
    if fine.max() > len(table):
        raise CorruptSampleError(
            f"{item.files[0]}: sample {item.name} has label {fine.max()}, but {mapping.name} ends at {len(table)}; "
            f"get {LABELED}"
        )
    if table.min() < 1 or table.max() > 40:
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
