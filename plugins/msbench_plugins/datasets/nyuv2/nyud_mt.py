"""The two archives named NYUD_MT: of ASTMT, and of the survey of Vandenhende et al."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from msbench.api import CorruptSampleError, Item, UserError

from ..pixels import read_array
from .files import as_depth, as_edges, as_labels, as_normals, read_mat, read_png, read_rgb
from .layout import Layout, Split, either, existing
from .sample import Sample

_SUFFIXES: Final = {
    "images": (".jpg",),
    "segmentation": (".png", ".mat"),
    "depth": (".npy", ".mat"),
    "normals": (".npy", ".jpg"),
    "edge": (".npy", ".png"),
}


@dataclass(frozen=True)
class NyudMt(Layout):
    """`{images,segmentation,depth,normals,edge}/<id>`, ids in `gt_sets/{train,val}.txt`; `val` is the official test
    set. Labels are 1 to 40 and 0 for background, which counts as void; with the protocol `paper:astmt` it is the
    first of 41 classes, as in ASTMT.
    """

    name: ClassVar[str] = "nyud_mt"
    classes: ClassVar[int] = 40
    edges: ClassVar[bool] = True
    cropped: ClassVar[bool] = True
    evidence: ClassVar = (("gt_sets/train.txt",), ("images", "segmentation", "normals", "edge"))
    source: ClassVar[str] = (
        "NYUD_MT (of Multi-Task-Learning-PyTorch: Google Drive file 14EAEMXmd3zs2hIMY63UhHPSFPDAkiTzw; or of ASTMT: "
        "data.vision.ee.ethz.ch/kmaninis/share/MTL/NYUD_MT.tgz): images/, segmentation/, depth/, normals/, edge/ "
        "and gt_sets/"
    )
    note: ClassVar[str] = "normals: axes as stored, the first to the right"

    def labels(self) -> int:
        return 41 if self.protocol == "paper:astmt" else 40

    def split(self, root: Path) -> Split:
        return Split(_items(root, "train"), _items(root, "val"))

    def read(self, item: Item) -> Sample:
        image, label, depth, normal, edge = item.files
        ids = read_mat(label, "segmentation") if label.suffix == ".mat" else read_png(label)
        first = 0 if self.protocol == "paper:astmt" else 1
        metres = read_mat(depth, "depth") if depth.suffix == ".mat" else read_array(depth)
        return Sample(
            image=read_rgb(image),
            labels=as_labels(ids, label, first, 41 - first, void=-1 if first == 0 else 0),
            depth=as_depth(metres, depth),
            normals=as_normals(_vectors(normal), normal),
            edges=as_edges(_strength(edge), edge),
        ).checked(item)


def _items(root: Path, part: str) -> list[Item]:
    (listed,) = existing(NyudMt, root / "gt_sets" / f"{part}.txt")
    ids = listed.read_text(encoding="utf-8", errors="replace").split()
    if not ids:
        raise UserError(f"{listed}: is empty; copy it again")
    wrong = next((name for name in ids if not re.fullmatch(r"\w[\w.-]{0,99}", name)), None)
    if wrong is not None:
        raise UserError(f"{listed}: {wrong[:80]!r} is no name of an image; copy it again")
    try:
        return [
            Item(name, tuple(either(NyudMt, root / kind / name, suffixes) for kind, suffixes in _SUFFIXES.items()))
            for name in ids
        ]
    except UserError as error:
        raise UserError(f"{listed} lists a sample that is not there: {error}") from error


def _vectors(file: Path) -> np.ndarray:
    return read_array(file) if file.suffix == ".npy" else read_rgb(file).astype(np.float32) / np.float32(127.5) - 1


def _strength(file: Path) -> np.ndarray:
    if file.suffix == ".npy":
        return read_array(file)
    pixels = read_png(file)
    if pixels.dtype == np.bool_:
        return pixels
    if pixels.dtype != np.uint8:
        raise CorruptSampleError(f"{file}: edges of type {pixels.dtype}, expected one byte a pixel; copy it again")
    return pixels.astype(np.float32) / np.float32(255)
