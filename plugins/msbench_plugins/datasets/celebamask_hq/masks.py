"""Where the masks lie and what is in them: a file for each part, one merged picture, or three classes in an array."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from msbench.api import CorruptSampleError, UserError

from ..pixels import IGNORE, read_array, read_picture

PARTS: Final = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""Classes in the order in which they are painted: a later part hides an earlier one."""

THREE: Final = ("background", "hair", "skin")
_FACE: Final = frozenset(PARTS[1:13])
_THREE_OF_PARTS: Final = np.array(
    [THREE.index("hair") if part == "hair" else 2 * (part in _FACE) for part in PARTS], np.uint8
)
"""Skin is the face with all that is in it, ears and glasses included: as in `faces`, its stand-in."""

_FOLDERS: Final = {
    "parts": ("CelebAMask-HQ-mask-anno", "CelebAMaskHQ-mask-anno"),
    "merged": ("CelebAMask-HQ-mask",),
    "array": ("CelebA-HQ-segmask",),
}
_NAMES: Final = {
    "parts": re.compile(r"(\d{5})_(\w+)\.png"),
    "merged": re.compile(r"(\d+)\.png"),
    "array": re.compile(r"(\d{5})_mask\.npy"),
}
_A_FOLDER: Final = 2000
"""Images whose parts share one numbered folder."""


@dataclass(frozen=True)
class Masks:
    """The masks of a tree. kind: parts, merged or array. files: by image number, parts in the order of `PARTS`."""

    kind: str
    folder: Path
    files: Mapping[int, tuple[Path, ...]]

    def of(self, number: int) -> tuple[Path, ...]:
        """The files of one image; UserError names the one that should be there."""
        if number in self.files:
            return self.files[number]
        expected = {
            "parts": f"{number // _A_FOLDER}/{number:05d}_skin.png",
            "merged": f"{number}.png",
            "array": f"{number:05d}_mask.npy",
        }
        raise UserError(f"{self.folder / expected[self.kind]}: no mask of image {number}; copy the masks again")


def find_masks(root: Path, kinds: Sequence[str]) -> Masks:
    """The masks of the first of these kinds that is there."""
    for kind in kinds:
        for name in _FOLDERS[kind]:
            if (root / name).is_dir():
                return Masks(kind, root / name, _by_image(root / name, kind))
    names = ", ".join(name for kind in kinds for name in _FOLDERS[kind])
    raise UserError(f"{root}: no folder of masks for these classes ({names}); unpack the CelebAMask-HQ archive there")


def read_labels(files: Sequence[Path], classes: int) -> np.ndarray:
    """uint8 [H, W] of 3 or 19 classes."""
    if files[0].suffix == ".npy":
        return _array(files[0])
    labels = _merged(files[0]) if files[0].stem.isdigit() else _painted(files)
    return labels if classes == len(PARTS) else _THREE_OF_PARTS[labels]


def _by_image(folder: Path, kind: str) -> dict[int, tuple[Path, ...]]:
    below = [folder]
    if kind == "parts":
        below = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name.isdigit()]
    found: defaultdict[int, list[tuple[int, Path]]] = defaultdict(list)
    for place in below:
        for entry in os.scandir(place):
            if match := _NAMES[kind].fullmatch(entry.name):
                found[int(match[1])].append((_order(match, folder), Path(entry.path)))
    return {number: tuple(file for _, file in sorted(files)) for number, files in found.items()}


def _order(match: re.Match[str], folder: Path) -> int:
    """Position of a part among those of its image; 0 where an image has but one file."""
    if match.re is not _NAMES["parts"]:
        return 0
    if match[2] not in PARTS[1:]:
        raise UserError(f"{folder}: {match[0]} is of no part that CelebAMask-HQ has; move it away")
    return PARTS.index(match[2])


def _painted(files: Sequence[Path]) -> np.ndarray:
    labels: np.ndarray | None = None
    for file in files:
        part = np.asarray(read_picture(file).convert("L")) > 0
        labels = np.zeros(part.shape, np.uint8) if labels is None else labels
        if part.shape != labels.shape:
            sizes = f"{part.shape} where other parts have {labels.shape}"
            raise CorruptSampleError(f"{file}: wrong shape, {sizes}; copy it again")
        labels[part] = PARTS.index(file.stem.split("_", 1)[1])
    assert labels is not None
    return labels


def _merged(file: Path) -> np.ndarray:
    picture = read_picture(file)
    if picture.mode not in ("L", "P"):
        raise CorruptSampleError(f"{file}: mode {picture.mode}, expected one byte a pixel; merge the parts again")
    labels = np.array(picture)
    if labels.max() >= len(PARTS):
        raise CorruptSampleError(f"{file}: class id {labels.max()} is not 0 to {len(PARTS) - 1}; merge the parts again")
    return labels


def _array(file: Path) -> np.ndarray:
    values = read_array(file)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2:
        raise CorruptSampleError(f"{file}: wrong shape {values.shape}, expected (height, width); copy it again")
    wrong = values[~np.isin(values, (*range(len(THREE)), IGNORE))]
    if wrong.size:
        raise CorruptSampleError(f"{file}: class id {wrong.flat[0]} is not 0, 1, 2 or 255; copy it again")
    # the export writes the background as 255 in some files and as 0 in others
    return np.where(values == IGNORE, 0, values).astype(np.uint8)
