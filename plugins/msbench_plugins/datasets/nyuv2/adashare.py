"""The images of AdaShare, which DiSparse, AdapMTL and TreeMTL read as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from msbench.api import Item, UserError

from ..pixels import read_array
from .files import as_depth, as_labels, as_normals, read_png, read_rgb
from .ladicky import decode, undecoded
from .layout import Layout, Split, existing, existing_folder
from .published import SPLITS, read_splits
from .sample import Sample

LIST: Final = "nyu_v2_3task.json"


@dataclass(frozen=True)
class AdaShare(Layout):
    """`img/%04d.png`, `seg` (40 classes from 0, 255 = void), `normal_mask` (RGB) and `depth/%04d.npy` (metres),
    480 x 640; the numbers count the official images from 0, the parts are listed in nyu_v2_3task.json.

    With the protocol `paper:adashare` normals are not decoded: their bytes are taken as vectors, as in the
    published code of AdaShare, DiSparse and AdapMTL; angles are then much smaller than real ones.
    """

    name: ClassVar[str] = "adashare"
    classes: ClassVar[int] = 40
    evidence: ClassVar = ((LIST,), ("img", "seg", "normal_mask"))
    source: ClassVar[str] = (
        "NYU v2 as prepared for AdaShare (Google Drive file 11pWuQXMFBNMIIB4VYMzi9RPE-nMOBU8g): img/, seg/, "
        f"normal_mask/, depth/ and {LIST}"
    )

    def split(self, root: Path) -> Split:
        if (root / LIST).is_file():
            return _listed(root)
        existing_folder(AdaShare, root / "img")
        if not (root / SPLITS.file).is_file():
            raise UserError(f"{root / LIST}: is missing, and so is {SPLITS.file}: copy the former, or get {SPLITS}")
        train, test = read_splits(root / SPLITS.file)
        return Split([_numbered(root, row) for row in train], [_numbered(root, row) for row in test])

    def read(self, item: Item) -> Sample:
        image, label, normal, depth = item.files
        colours = read_rgb(normal)
        return Sample(
            image=read_rgb(image),
            labels=as_labels(read_png(label), label, 0, 40, 255),
            depth=_depth(read_array(depth), depth),
            normals=undecoded(colours) if self.protocol == "paper:adashare" else as_normals(decode(colours), normal),
        ).checked(item)


def _depth(array: np.ndarray, file: Path) -> np.ndarray:
    """As the reference code has it, depth up to 3e-5 m is no depth."""
    depth = as_depth(array, file)
    return np.where(depth > 3e-5, depth, np.float32(0))


def _listed(root: Path) -> Split:
    file = root / LIST
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        rows = {part: [tuple(map(str, row)) for row in listed[part]] for part in ("train", "test")}
        wrong = next((row for part in rows.values() for row in part if len(row) != 4), None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: is not the list of training and test samples ({error!r}); copy it again") from error
    if wrong is not None:
        raise UserError(f"{file}: {list(wrong)} is not image, labels, normals and depth; copy it again")
    train, test = ([Item(row[0], existing(AdaShare, *(root / path for path in row))) for row in rows[part]]
                   for part in ("train", "test"))  # fmt: skip
    return Split(train, test)


def _numbered(root: Path, row: int) -> Item:
    name = f"{row:04d}"
    files = (f"img/{name}.png", f"seg/{name}.png", f"normal_mask/{name}.png", f"depth/{name}.npy")
    return Item(files[0], existing(AdaShare, *(root / file for file in files)))
