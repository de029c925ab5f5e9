"""One label file as it is stored: read, checked, brought to the size asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from msbench.api import CorruptSampleError
from msbench_plugins.datasets.pixels import IGNORE, LONGEST, nearest, read_array, read_picture, rgb, single

Size = tuple[int, int]
"""Height and width."""

_SIXTEEN: Final = ("I", "I;16", "I;16B", "I;16L")
_SHORTEST: Final = 0.5
"""Normals shorter than this say that there is none."""


def read_image(file: Path, size: Size) -> tuple[Tensor, Size]:
    """uint8 [3, H, W] of this size, and the size that the file has; turned upright as its EXIF entry says."""
    if file.suffix.lower() == ".npy":
        values = read_array(file)
        if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
            raise CorruptSampleError(f"{file}: image is {_form(values)}, expected uint8 [height, width, 3]")
        picture = Image.fromarray(values)
    else:
        picture = ImageOps.exif_transpose(read_picture(file))
        if picture.mode in _SIXTEEN:
            raise CorruptSampleError(f"{file}: image has 16 bits a pixel; convert it to 8 bits a colour")
    return rgb(picture, *size), (picture.height, picture.width)


def read_labels(file: Path, size: Size, original: Size, classes: Sequence[str], ignore: int) -> tuple[Tensor, Tensor]:
    """uint8 [H, W] class ids with 255 for void, and where there is a class."""
    values = _plane(file, original, ("L", "P", "1", *_SIXTEEN), "ids, not colours; save one id a pixel")
    if values.dtype.kind == "f":
        raise CorruptSampleError(f"{file}: label is {_form(values)}, expected whole numbers")
    ids = values.astype(np.int64)
    void = (ids == ignore) | (ids == IGNORE)
    wrong = ids[~void & ((ids < 0) | (ids >= len(classes)))]
    if wrong.size:
        known = f"0 to {len(classes) - 1}, and {ignore} for void (data.ignore)"
        raise CorruptSampleError(f"{file}: label id {wrong[0]} has no line in classes.txt (known: {known})")
    stored = torch.from_numpy(nearest(np.where(void, IGNORE, ids).astype(np.uint8), *size))
    return stored, stored != IGNORE


def read_depth(file: Path, size: Size, original: Size, scale: float) -> tuple[Tensor, Tensor]:
    """float32 [H, W] metres, and where they are above 0. scale: steps of a 16-bit PNG in a metre."""
    values = _plane(file, original, _SIXTEEN, "depth needs 16 bits a pixel; save it so, or as .npy in metres")
    metres = single(values)
    if file.suffix.lower() == ".png":
        metres /= scale
    if not np.isfinite(metres).all() or (metres < 0).any():
        what = "infinite or not a number" if not np.isfinite(metres).all() else "negative"
        raise CorruptSampleError(f"{file}: some depths are {what}; write 0 where there is no measurement")
    stored = torch.from_numpy(nearest(metres, *size).copy())
    return stored, stored > 0


def read_normals(file: Path, size: Size, original: Size) -> tuple[Tensor, Tensor]:
    """float16 [3, H, W] unit vectors (right, up, towards the camera), and where there is one."""
    if file.suffix.lower() == ".npy":
        vectors = single(read_array(file))
        vectors = (
            np.moveaxis(vectors, 0, -1) if vectors.ndim == 3 and vectors.shape[0] == 3 != vectors.shape[-1] else vectors
        )
    else:
        picture = read_picture(file)
        if picture.mode != "RGB":
            raise CorruptSampleError(f"{file}: normals have mode {picture.mode}, expected RGB with (n + 1) / 2 * 255")
        vectors = np.asarray(picture, np.float32) / 127.5 - 1
    if vectors.ndim != 3 or vectors.shape[-1] != 3 or not (np.abs(vectors) < LONGEST).all():
        raise CorruptSampleError(f"{file}: normals are {_form(vectors)} or not numbers, expected [height, width, 3]")
    _check_size(file, vectors.shape[:2], original)
    small = torch.from_numpy(nearest(vectors, *size).copy()).permute(2, 0, 1)
    length = small.norm(dim=0)
    return (small / length.clamp_min(_SHORTEST)).half(), length > _SHORTEST


def read_edges(file: Path, size: Size, original: Size, binary: bool) -> tuple[Tensor, Tensor]:
    """[H, W] strength in [0, 1] as float16, or with `binary` from 0.5 on as bool; valid everywhere.

    A pixel has the greatest strength under it, since thin edges would else be lost.
    """
    values = _plane(file, original, ("L", "P", "1"), "edges need one strength a pixel; save it as grey")
    strength = single(values) / (255 if values.dtype == np.uint8 else 1)
    if not np.isfinite(strength).all() or strength.min() < 0 or strength.max() > 1:
        raise CorruptSampleError(f"{file}: some edge strengths are outside [0, 1] or not a number")
    small = F.adaptive_max_pool2d(torch.from_numpy(strength)[None], size)[0]
    return (small >= 0.5 if binary else small.half()), torch.ones(size, dtype=torch.bool)


def _plane(file: Path, original: Size, modes: Sequence[str], remedy: str) -> np.ndarray:
    """One value a pixel, [H, W], of a picture in one of these modes or of an array."""
    if file.suffix.lower() == ".npy":
        values = read_array(file)
        values = values.squeeze() if values.ndim == 3 else values
        if values.ndim != 2:
            raise CorruptSampleError(f"{file}: is {_form(values)}, expected [height, width]")
    else:
        picture = read_picture(file)
        if picture.mode not in modes:
            raise CorruptSampleError(f"{file}: has mode {picture.mode}; {remedy}")
        values = np.asarray(picture)
    _check_size(file, values.shape, original)
    return values


def _check_size(file: Path, found: tuple[int, ...], original: Size) -> None:
    if tuple(found) != original:
        sizes = f"{found[1]}x{found[0]} pixels, its image {original[1]}x{original[0]}"
        raise CorruptSampleError(f"{file}: has {sizes}; label and image must have one size")


def _form(values: np.ndarray) -> str:
    return f"{values.dtype} {list(values.shape)}"
