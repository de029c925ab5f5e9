"""The official MATLAB file with split and class map, as MATLAB writes them."""

from __future__ import annotations

import io
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from .classes import NAMES
from .files import VOID
from .published import LABELED, MAPPING, SPLITS
from .sample import Listed, Sample

_HEADER: Final = 512
_FARTHEST: Final = np.float32(10)


def write_official(folder: Path, train: Listed, test: Listed) -> None:
    """Labels are the 40 classes themselves, so that the class map is the identity; an instance is all of a class."""
    import h5py

    count = len(train) + len(test)
    path = folder / LABELED.file
    with h5py.File(path, "w", userblock_size=_HEADER, libver=("earliest", "v110")) as file:
        for row, sample in enumerate(chain(train, test)):
            for name, array in _variables(sample).items():
                if name not in file:
                    _dataset(file, name, (count, *array.shape), array.dtype, chunks=(1, *array.shape))
                file[name][row] = array
        _dataset(file, "accelData", (4, count), np.dtype(np.float32))
        numbers = [f"{row + 1:04d}" for row in range(count)]
        _cell(file, "names", list(NAMES[40]))
        for name in ("scenes", "rawRgbFilenames", "rawDepthFilenames"):
            _cell(file, name, numbers)
        _cell(file, "sceneTypes", ["unknown"] * count)
    with path.open("r+b") as stream:
        stream.write(_header())
    rows = np.arange(1, count + 1, dtype=np.uint16)[:, None]
    _save_mat(folder / SPLITS.file, {"trainNdxs": rows[: len(train)], "testNdxs": rows[len(train) :]})
    names = np.array(NAMES[40], dtype=object)[None]
    mapping = {"mapClass": np.arange(1, 41, dtype=np.uint8)[None], "className": names, "allClassName": names}
    _save_mat(folder / MAPPING.file, mapping)


def _variables(sample: Sample) -> dict[str, np.ndarray]:
    """Columns before rows: MATLAB stores the first index fastest."""
    labels = np.where(sample.labels == VOID, 0, sample.labels.astype(np.int64) + 1)
    return {
        "images": sample.image.transpose(2, 1, 0),
        "depths": inpainted(sample.depth).T,
        "rawDepths": sample.depth.T,
        "labels": labels.T.astype(np.uint16),
        "instances": (labels > 0).T.astype(np.uint8),
    }


def inpainted(depth: np.ndarray) -> np.ndarray:
    """Depth [H, W] without holes: an unknown pixel (0) gets the depth of the nearest known one."""
    from scipy.ndimage import distance_transform_edt

    unknown = depth <= 0
    if unknown.all():
        return np.full_like(depth, _FARTHEST)
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    filled: np.ndarray = depth[tuple(nearest)]
    return filled


def _dataset(
    file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype, chunks: tuple[int, ...] | None = None
) -> Any:
    stored = file.create_dataset(name, shape, dtype, chunks=chunks)
    stored.attrs["MATLAB_class"] = np.bytes_({"float32": "single"}.get(dtype.name, dtype.name))
    return stored


def _cell(file: Any, name: str, texts: list[str]) -> None:
    """A MATLAB cell of strings: references to arrays of UTF-16 units, which lie in the group #refs#."""
    import h5py

    refs = file.require_group("#refs#")
    cell = file.create_dataset(name, (1, len(texts)), h5py.ref_dtype)
    cell.attrs["MATLAB_class"] = np.bytes_("cell")
    for index, text in enumerate(texts):
        units = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
        stored = refs.create_dataset(f"{name}{index}", data=units)
        stored.attrs["MATLAB_class"] = np.bytes_("char")
        stored.attrs["MATLAB_int_decode"] = np.int32(2)
        cell[0, index] = stored.ref


def _header() -> bytes:
    """The text and version with which a MATLAB file of version 7.3 begins; without a date, so that bytes repeat."""
    return b"MATLAB 7.3 MAT-file, written by msbench".ljust(124) + (0x0200).to_bytes(2, "little") + b"IM"


def _save_mat(path: Path, variables: dict[str, np.ndarray]) -> None:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, variables)
    text = b"MATLAB 5.0 MAT-file, written by msbench".ljust(116)
    # scipy's own text holds the date
    path.write_bytes(text + stream.getvalue()[len(text) :])
