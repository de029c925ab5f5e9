"""Files of one sample read and checked: what is wrong is said with the file's name and the remedy."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final

import numpy as np

from msbench.api import CorruptSampleError

from ..pixels import LONGEST, check_there, line, read_picture, single

VOID: Final = 255
"""Label of pixels without a class."""

MOST_VALUES: Final = 1 << 24
"""Of a variable in a MATLAB file, or of a sample's share of it: many times what the dataset has."""

_AGAIN: Final = "copy this file again"


def read_png(file: Path) -> np.ndarray:
    """An image file as it is stored: [H, W] or [H, W, channels], 8 or 16 bits."""
    return np.asarray(read_picture(file))


def read_rgb(file: Path) -> np.ndarray:
    """Colours, uint8 [H, W, 3]."""
    pixels = read_png(file)
    if pixels.ndim != 3 or pixels.shape[2] < 3 or pixels.dtype != np.uint8:
        raise CorruptSampleError(
            f"{file}: expected 8-bit RGB, found {pixels.dtype} of shape {list(pixels.shape)}; {_AGAIN}"
        )
    return pixels[..., :3]


def read_mat(file: Path, key: str, kind: str = "numbers") -> np.ndarray:
    """One variable of a MATLAB file up to version 7. kind: numbers, or cells (an array of objects)."""
    from scipy.io import loadmat, whosmat

    check_there(file)
    try:
        # the headers alone: what they promise is looked at before room is made for it
        promised = {name: (shape, stored) for name, shape, stored in whosmat(file)}
        found: np.ndarray | None = loadmat(file, variable_names=[key])[key] if _sane(promised.get(key), kind) else None
    except Exception as error:  # scipy raises whatever the damaged bytes lead it to
        raise CorruptSampleError(f"{file}: cannot be read as a MATLAB file ({line(error)}); {_AGAIN}") from error
    if found is None or (kind == "numbers" and found.dtype.kind not in "biuf"):
        raise CorruptSampleError(f"{file}: holds no variable '{key}' of {kind}; {_AGAIN}")
    return found


def _sane(promised: tuple[tuple[int, ...], str] | None, kind: str) -> bool:
    """Whether a variable is there, of this kind, and of a size that a file here can have."""
    if promised is None:
        return False
    shape, stored = promised
    fits = stored == "cell" if kind == "cells" else re.fullmatch("u?int(8|16|32|64)|double|single|logical", stored)
    return bool(fits) and min(shape, default=1) > 0 and math.prod(shape) <= MOST_VALUES


def as_labels(array: np.ndarray, file: Path, first: int, count: int, void: int) -> np.ndarray:
    """Labels [H, W] stored as `first` to `first + count - 1`, and `void`: uint8 from 0, 255 = void."""
    if array.ndim != 2:
        raise CorruptSampleError(f"{file}: expected labels of shape [H, W], found {list(array.shape)}; {_AGAIN}")
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise CorruptSampleError(f"{file}: labels are not whole numbers; {_AGAIN}")
    known = array != void
    outside = known & ((array < first) | (array >= first + count))
    if outside.any():
        raise CorruptSampleError(
            f"{file}: label {array[outside][0]:.0f} is neither one of {first} to {first + count - 1} nor {void} (void);"
            " the file is damaged or belongs to another label set"
        )
    return np.where(known, array.astype(np.int64) - first, VOID).astype(np.uint8)


def as_depth(array: np.ndarray, file: Path) -> np.ndarray:
    """Metres, float32 [H, W], zero where unknown."""
    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plane.ndim != 2:
        raise CorruptSampleError(f"{file}: expected depth of shape [H, W], found {list(array.shape)}; {_AGAIN}")
    depth = single(plane)
    if not np.isfinite(depth).all() or (depth < 0).any():
        raise CorruptSampleError(f"{file}: depth holds negative or not finite values; {_AGAIN}")
    return depth


def as_normals(array: np.ndarray, file: Path) -> np.ndarray:
    """Unit vectors, float32 [H, W, 3], zero where unknown.

    What is shorter than 0.5 is unknown. A vector within 0.1 % of unit length is left as it is stored.
    """
    if array.ndim != 3 or array.shape[2] != 3:
        raise CorruptSampleError(f"{file}: expected normals of shape [H, W, 3], found {list(array.shape)}; {_AGAIN}")
    normals = single(array)
    if not (np.abs(normals) < LONGEST).all():
        raise CorruptSampleError(f"{file}: normals hold values that are not finite or far too large; {_AGAIN}")
    length = np.sqrt(np.square(normals).sum(2, keepdims=True))
    scale = np.where(np.abs(length - 1) > 1e-3, length, np.float32(1))
    return np.where(length > 0.5, normals / np.maximum(scale, np.float32(0.5)), np.float32(0))


def as_edges(array: np.ndarray, file: Path) -> np.ndarray:
    """Edge strength from 0 to 1, float32 [H, W]."""
    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plane.ndim != 2:
        raise CorruptSampleError(f"{file}: expected edges of shape [H, W], found {list(array.shape)}; {_AGAIN}")
    edges = single(plane)
    if not ((edges >= 0) & (edges <= 1)).all():
        raise CorruptSampleError(f"{file}: edges are not between 0 and 1; {_AGAIN}")
    return edges
