"""One picture of each domain, from its stored code to the target that msbench has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from msbench.api import CorruptSampleError, UserError

from ..pixels import IGNORE, nearest, read_picture

CLASSES: Final = (
    "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "microwave",
    "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase",
)  # fmt: skip
_UNCERTAIN: Final = 0
_UNITS: Final = 512.0
"""Depth code of one metre."""

_FARTHEST: Final = 64_500
"""Depth codes from it on are holes of the mesh."""

_FULL: Final = 2.0**16
_CLIP: Final = {"keypoints": 0.005, "edges": 0.08}
"""Response that counts as 1, of a full scale of 1: where the papers clip it."""


def segmentation(codes: np.ndarray, file: Path, uncertain_is_background: bool) -> Tensor:
    """uint8 [H, W], 255 where the annotating network was uncertain."""
    if codes.max() > len(CLASSES):
        expected = f"0 (uncertain) to {len(CLASSES)}"
        raise UserError(f"{file}: class id {codes.max()} is not {expected}; use the domain segment_semantic")
    void = 0 if uncertain_is_background else IGNORE
    return torch.from_numpy(np.where(codes == _UNCERTAIN, void, codes - 1).astype(np.uint8))


def metres(codes: np.ndarray) -> Tensor:
    """float32 [H, W]; 0 in holes."""
    return torch.from_numpy(np.where(codes < _FARTHEST, codes / _UNITS, 0).astype(np.float32))


def log_depth(codes: np.ndarray) -> Tensor:
    """float32 [H, W], ln(1 + code) / ln(2¹⁶): the target of AdaShare and its successors; 0 in holes."""
    scaled = np.log1p(codes.astype(np.float64)) / np.log(_FULL)
    return torch.from_numpy(np.where(codes < _FARTHEST, scaled, 0).astype(np.float32))


def normals(colours: np.ndarray) -> tuple[Tensor, Tensor]:
    """float32 [3, H, W] of unit length, x right, y up, z to the camera, and where there are any, bool [H, W].

    Stored: red to the right, green downwards, blue to the camera, 127.5 for 0; a hole is the middle of all three.
    """
    right, down, back = np.moveaxis(colours.astype(np.float32) / 127.5 - 1, -1, 0)
    vectors = np.stack([right, -down, back])
    length = np.sqrt((vectors**2).sum(0))
    unit = vectors / np.maximum(length, 1e-6)
    return torch.from_numpy(unit), torch.from_numpy(length > 0.5)


def strength(codes: np.ndarray, domain: str) -> Tensor:
    """float32 [H, W] in [0, 1] of keypoints or edges."""
    return torch.from_numpy((codes / _FULL / _CLIP[domain]).clip(0, 1).astype(np.float32))


def read_codes(file: Path, size: tuple[int, int], height: int, width: int, sixteen: bool) -> np.ndarray:
    """Codes of a domain with one channel, int64 [height, width]. size: (width, height) that the picture has."""
    picture = read_picture(file)
    wide = picture.mode.startswith("I")
    if sixteen and not wide:
        raise UserError(
            f"{file}: has 8 bits a pixel (mode {picture.mode}), not 16; use the files as they are published"
        )
    if not sixteen and picture.mode not in ("L", "P"):
        raise UserError(f"{file}: has mode {picture.mode}, not one byte a pixel; use the files as they are published")
    _check_size(picture.size, size, file)
    return nearest(np.asarray(picture).astype(np.int64), height, width)


def read_colours(file: Path, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]."""
    picture = read_picture(file)
    _check_size(picture.size, size, file)
    return nearest(np.asarray(picture.convert("RGB")), height, width)


def _check_size(found: tuple[int, int], expected: tuple[int, int], file: Path) -> None:
    if found != expected:
        sizes = f"{found[0]}x{found[1]} where the image has {expected[0]}x{expected[1]}"
        raise CorruptSampleError(f"{file}: wrong shape, {sizes}; download both again")
