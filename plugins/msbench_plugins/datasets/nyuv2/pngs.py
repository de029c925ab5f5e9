"""The PNG files that are published beside pytorch-nyuv2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from msbench.api import CorruptSampleError, Item, UserError

from .files import as_labels, as_normals, read_png, read_rgb
from .ladicky import decode
from .layout import Layout, Split, existing, existing_folder
from .sample import Sample

_STEPS: Final = 10_000
"""Depth steps a metre."""

_WRAP: Final = 65_536
_NEAREST: Final = 5_000
"""No depth of the dataset is nearer than 0.5 m: what is, has wrapped around."""

_FARTHEST: Final = 100_000
"""No depth of the dataset is farther than 10 m."""


@dataclass(frozen=True)
class Pngs(Layout):
    """`{train,test}_{rgb,seg13,sn,depth}/%04d.png`: 13 classes from 1 (0 = void), Ladicky's normals, depth in
    16 bits, 0.1 mm a step. Such a depth wraps around at 6.55 m: where an image shows it, what may have wrapped
    is unknown.
    """

    name: ClassVar[str] = "pngs"
    classes: ClassVar[int] = 13
    evidence: ClassVar = (("train_rgb", "test_rgb"),)
    source: ClassVar[str] = (
        "the PNG files of pytorch-nyuv2 (github.com/xapharius/pytorch-nyuv2): train_ and test_ folders rgb, seg13, "
        "sn and depth"
    )
    note: ClassVar[str] = (
        "depth: 16 bits, wraps at 6.55 m; in images that show it, depth up to 3.45 m counts as unknown (the layout "
        "mat has whole depth)"
    )

    def split(self, root: Path) -> Split:
        return Split(_items(root, "train"), _items(root, "test"))

    def read(self, item: Item) -> Sample:
        image, label, normal, depth = item.files
        return Sample(
            image=read_rgb(image),
            labels=as_labels(read_png(label), label, 1, 13, 0),
            depth=metres(read_png(depth), depth),
            normals=_facing(as_normals(decode(read_rgb(normal)), normal), normal),
        ).checked(item)


def metres(steps: np.ndarray, file: Path) -> np.ndarray:
    """Depth, float32 [H, W], of 16-bit steps; 0 where unknown or in doubt."""
    if steps.ndim != 2 or steps.dtype.kind not in "iu" or steps.dtype == np.uint8:
        raise CorruptSampleError(
            f"{file}: expected 16-bit depth, found {steps.dtype} of shape {list(steps.shape)}; copy this file again"
        )
    whole = steps.astype(np.int64)
    if ((whole > 0) & (whole < _NEAREST)).any():
        whole = np.where(whole > _FARTHEST - _WRAP, whole, 0)
    return (whole / _STEPS).astype(np.float32)


def _facing(normals: np.ndarray, file: Path) -> np.ndarray:
    """Visible surfaces face the camera; other people's encodings of the same normals do not."""
    z = normals[..., 2][normals.any(2)]
    if z.size and (z > 0).mean() < 0.5:
        raise CorruptSampleError(
            f"{file}: most normals point away from the camera: another encoding than (n + 1) / 2 · 255 with green "
            "forward; use the files of pytorch-nyuv2, or another layout"
        )
    return normals


def _items(root: Path, part: str) -> list[Item]:
    images = existing_folder(Pngs, root / f"{part}_rgb")
    names = sorted(file.name for file in images.glob("*.png"))
    if not names:
        raise UserError(f"{images}: no .png files in it; data.root should be {Pngs.source}")
    return [
        Item(
            f"{part}/{name}",
            existing(Pngs, *(root / f"{part}_{kind}" / name for kind in ("rgb", "seg13", "sn", "depth"))),
        )
        for name in names
    ]
