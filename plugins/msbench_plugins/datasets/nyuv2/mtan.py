"""The arrays of MTAN, which LibMTL and most papers on loss balancing read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from msbench.api import CorruptSampleError, Item, UserError

from ..pixels import read_array
from .files import as_depth, as_labels, as_normals
from .layout import Layout, Split, existing, existing_folder
from .sample import Sample

FOLDERS = ("image", "label", "depth", "normal")


@dataclass(frozen=True)
class Mtan(Layout):
    """`{train,val}/{image,label,depth,normal}/<i>.npy`, 288 x 384: 13 classes from 0 (-1 = void), metres
    (0 = unknown), normals from -1 to 1 (zero = unknown); `val` is the official test set.
    """

    name: ClassVar[str] = "mtan"
    classes: ClassVar[int] = 13
    cropped: ClassVar[bool] = True
    evidence: ClassVar = (("train/image", "val/image"),)
    source: ClassVar[str] = (
        "the preprocessed NYUv2 of MTAN (dropbox.com/sh/86nssgwm6hm3vkb/AACrnUQ4GxpdrBbLjb6n-mWNa, about 6 GB "
        "unpacked): train/ and val/ with image/, label/, depth/ and normal/ of .npy files"
    )
    note: ClassVar[str] = "normals: axes as stored, the first to the right"

    def split(self, root: Path) -> Split:
        return Split(_items(root / "train"), _items(root / "val"))

    def read(self, item: Item) -> Sample:
        image, label, depth, normal = item.files
        return Sample(
            image=_image(read_array(image), image),
            labels=as_labels(read_array(label), label, 0, 13, -1),
            depth=as_depth(read_array(depth), depth),
            normals=as_normals(read_array(normal), normal),
        ).checked(item)


def _items(folder: Path) -> list[Item]:
    """Samples 0, 1, 2 ... without a gap: a gap is a file that was not copied."""
    images = existing_folder(Mtan, folder / "image")
    count = len(list(images.glob("*.npy")))
    if not count:
        raise UserError(f"{images}: no .npy files in it; data.root should be {Mtan.source}")
    return [
        Item(f"{folder.name}/{index}", existing(Mtan, *(folder / name / f"{index}.npy" for name in FOLDERS)))
        for index in range(count)
    ]


def _image(array: np.ndarray, file: Path) -> np.ndarray:
    """Colours from 0 to 1 as bytes."""
    if array.ndim != 3 or array.shape[2] != 3:
        raise CorruptSampleError(
            f"{file}: expected an image of shape [H, W, 3], found {list(array.shape)}; copy it again"
        )
    if not ((array >= -1e-3) & (array <= 1.001)).all():
        raise CorruptSampleError(f"{file}: expected colours from 0 to 1, found others; copy this file again")
    return np.round(array.astype(np.float64) * 255).clip(0, 255).astype(np.uint8)
