"""Pictures and arrays out of files, made to one size; every error names the file."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from msbench.api import CorruptSampleError, UserError

IGNORE: Final = 255
_UNREADABLE: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow and numpy raise for files that are cut off or damaged."""


def read_picture(file: Path, at_least: tuple[int, int] | None = None) -> Image.Image:
    """A decoded picture; CorruptSampleError where it cannot be read to its end.

    at_least: (width, height) that are enough: a JPEG of twice that or more is decoded at a fraction of its size.
    """
    try:
        picture = Image.open(file)
        if at_least:
            picture.draft("RGB", at_least)
        picture.load()
    except FileNotFoundError as error:
        raise UserError(f"{file}: file is missing; copy it again") from error
    except _UNREADABLE as error:
        raise CorruptSampleError(f"{file}: cannot be read as a picture ({_line(error)}); copy it again") from error
    return picture


def read_array(file: Path) -> np.ndarray:
    """A .npy array; CorruptSampleError where the file is cut off or no such array."""
    try:
        values = np.asarray(np.load(file, allow_pickle=False))
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{values.dtype} in place of numbers")
        return values
    except FileNotFoundError as error:
        raise UserError(f"{file}: file is missing; copy it again") from error
    except _UNREADABLE as error:
        raise CorruptSampleError(f"{file}: cannot be read as .npy ({_line(error)}); copy it again") from error


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
