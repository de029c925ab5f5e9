"""Pictures and arrays out of files, made to one size; every error names the file."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from msbench.api import CorruptSampleError, UserError

IGNORE: Final = 255
_FORMATS: Final = ("PNG", "JPEG")
"""Of what Pillow can read. Others are no data of these datasets, and some run programs (EPS) or are rarely tested."""

_MOST_PIXELS: Final = 89_478_485
"""Of one picture: from there on Pillow warns of a decompression bomb."""


_PARSING: Final = Lock()
"""Held while numpy parses a header. CPython 3.11 and 3.12 count how deep `ast.literal_eval` is for all threads together
(python/cpython#106905): two at once, as when files are decoded in threads, may raise SystemError on sound files."""

LONGEST: Final = 1e6
"""Of a stored normal, which should be of unit length."""


def read_picture(file: Path, at_least: tuple[int, int] | None = None) -> Image.Image:
    """A decoded picture, PNG or JPEG; CorruptSampleError where it cannot be read to its end.

    at_least: (width, height) that are enough: a JPEG of twice that or more is decoded at a fraction of its size.
    """
    check_there(file)
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels, more than any picture here has")
            if at_least:
                picture.draft("RGB", at_least)
            picture.load()
    except Exception as error:  # Pillow raises whatever the damaged bytes lead it to
        raise CorruptSampleError(f"{file}: cannot be read as a picture ({line(error)}); copy it again") from error
    return picture


def read_array(file: Path) -> np.ndarray:
    """A .npy array of numbers; CorruptSampleError where the file is cut off or no such array."""
    check_there(file)
    try:
        with file.open("rb") as stream:
            shape, columns_first, kind = _read_header(stream, file.stat().st_size)
            values = np.fromfile(stream, kind, math.prod(shape))
            return values.reshape(shape[::-1]).T if columns_first else values.reshape(shape)
    except Exception as error:  # numpy raises whatever the damaged bytes lead it to
        raise CorruptSampleError(f"{file}: cannot be read as .npy ({line(error)}); copy it again") from error


def _read_header(stream: BinaryIO, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and kind; leaves the stream at the values.

    ValueError where a .npy file promises more than it has, nothing, or no numbers: before room is made for them.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format, which numbers do not need")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with _PARSING:
        shape, columns_first, kind = read(stream)
    if kind.kind not in "biuf":
        raise ValueError(f"{kind} in place of numbers")
    if min(shape, default=1) < 1 or math.prod(shape) * kind.itemsize > size - stream.tell():
        raise ValueError(f"shape {shape} in a file of {size} bytes")
    return shape, columns_first, kind


def check_there(file: Path) -> None:
    """UserError where there is no such file; a pipe or a device is none either, reading it might never end."""
    if not is_there(file):
        raise UserError(f"{file}: file is missing; copy it again")


def is_there(file: Path) -> bool:
    """Whether there is a file of this name, which may be any text."""
    try:
        return file.is_file()
    except OSError:  # such as a name that is too long
        return False


def single(values: np.ndarray) -> np.ndarray:
    """float32 of any numbers; infinite where they do not fit."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def rgb(picture: Image.Image, height: int, width: int) -> Tensor:
    """uint8 [3, height, width], antialiased; the aspect ratio is not kept."""
    colours = picture.convert("RGB")
    if colours.size != (width, height):
        colours = colours.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return torch.from_numpy(np.array(colours)).permute(2, 0, 1).contiguous()


def nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """[height, width, ...] of [H, W, ...]: the value at each new pixel's centre, so that none is invented."""
    if values.shape[:2] == (height, width):
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip((height, width), values.shape[:2], strict=True)
    )
    return np.asarray(values[rows[:, None], columns[None]])


def shuffled(names: Iterable[str], salt: str) -> list[str]:
    """The names in an order that depends on them and on `salt` alone: no generator, the same on every machine."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{salt} {name}".encode()).digest())


def check_pixels(height: int, width: int) -> None:
    """UserError where a side is not a whole number of pixels from 16 to 2048."""
    for field, value in (("height", height), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or not 16 <= value <= 2048:
            raise UserError(f"data.{field}: {value!r} is not a whole number of pixels from 16 to 2048")


def line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
