"""Cityscapes for several tasks: the packaging of MTAN and LibMTL, and that of AdaShare and DiSparse."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from msbench.api import (
    CorruptSampleError,
    Decoded,
    DepthTask,
    Item,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
    UserError,
)

from .pixels import IGNORE, check_pixels, is_there, nearest, read_array, rgb, shuffled, single

CATEGORIES: Final = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
CLASSES: Final = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
_PALETTE7: Final = (
    (128, 64, 128), (70, 70, 70), (153, 153, 153), (107, 142, 35), (70, 130, 180), (220, 20, 60), (0, 0, 142),
)  # fmt: skip
_PALETTE19: Final = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
    (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
_SEGMENTATION: Final = {
    7: SegmentationTask(classes=CATEGORIES, palette=_PALETTE7),
    19: SegmentationTask(classes=CLASSES, palette=_PALETTE19),
}
_LABELS: Final = {7: ("label_7", "label"), 19: ("label_19",)}
"""Folders of the labels. LibMTL calls its only one, of seven classes, `label`."""

_JSON: Final = "cityscape.json"
_COLUMN: Final = {7: 3, 19: 4}
"""Where the labels stand in a row of the list: image, depth, and labels of 2, 7 and 19 classes."""

_HELD_OUT: Final = 0.2
_FARTHEST: Final = 3e-5
"""Values up to it are no measurement: 0 and 1 of the 16 bits, of which 1 is an infinite distance."""


@dataclass(frozen=True)
class InverseDepthTask(DepthTask):
    """Depth as stereo sees it: 0 is infinitely far, and nearer is more. Target: float [B, H, W], no unit."""

    unit: ClassVar[str] = ""
    typical: float = 0.1
    objective: Literal["hu", "l1", "l2"] = "l1"

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        """Times `factor`: what looks twice as large is half as far."""
        return target * factor.to(target).view(-1, 1, 1)


@dataclass
class Cityscapes(PackedDataset):
    """Street scenes of 50 cities: 7 or 19 classes, and inverse depth (disparity / 65535, at most 0.5).

    Test is the official validation part (500 images); validation is a fifth of the official training part, drawn by
    the images' names. Loss (L1) and metrics of depth are of the inverse depth, as in the papers: they are no metres.

    root: train and val with image, depth and label_7 (or LibMTL's `label`) or label_19, `<i>.npy` in each; or a
    folder with cityscape.json. classes: 7 categories or the 19 classes. height, width: of images and targets.
    """

    name: ClassVar[str] = "cityscapes"
    paper: ClassVar[str] = (
        "Cordts et al. The Cityscapes dataset for semantic urban scene understanding. CVPR 2016; "
        "packaging of Liu, Johns, Davison: End-to-end multi-task learning with attention. CVPR 2019"
    )
    licence: ClassVar[str] = "Cityscapes terms: registration, non-commercial research; not redistributed with msbench"
    source: ClassVar[str] = (
        "the pre-processed Cityscapes of MTAN (links in github.com/lorenmt/mtan: 256x512, 2.42 GB; 128x256, 651 MB) "
        "or of AdaShare (Google Drive 1WrVMA_UZpoj7voajf60yIVaS_Ggl0jrH); no checksums published; "
        "terms: cityscapes-dataset.com/license, non-commercial"
    )
    root: str = ""
    classes: int = 7
    height: int = 128
    width: int = 256

    def __post_init__(self) -> None:
        check_pixels(self.height, self.width)
        if self.classes not in _SEGMENTATION:
            raise UserError(f"data.classes: {self.classes!r} is neither 7 nor 19, the two label sets of Cityscapes")

    def tasks(self) -> tuple[Task, ...]:
        return (_SEGMENTATION[self.classes], InverseDepthTask())

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        listed = _listed(root, self.classes) if (root / _JSON).is_file() else _folders(root, self.classes)
        held_out = shuffled(listed["train"], self.name)[: max(1, round(_HELD_OUT * len(listed["train"])))]
        names = {
            "train": [name for name in listed["train"] if name not in set(held_out)],
            "validation": [name for name in listed["train"] if name in set(held_out)],
            "test": list(listed["test"]),
        }
        parts: dict[Part, Sequence[Item]] = {}
        for part in ("train", "validation", "test"):
            files = listed["test" if part == "test" else "train"]
            parts[part] = [Item(name, files[name]) for name in names[part]]
            if not parts[part]:
                raise UserError(f"{root}: no images for the {part} part; data.root should be {self.source}")
        return parts

    def decode(self, item: Item) -> Decoded:
        image_file, label_file, depth_file = item.files
        image = _image(image_file)
        labels = _labels(label_file, self.classes)
        depth = _depth(depth_file)
        for file, values in ((label_file, labels), (depth_file, depth)):
            if values.shape != image.shape[:2]:
                sizes = f"{values.shape} where the image has {image.shape[:2]}"
                raise CorruptSampleError(f"{file}: wrong shape, {sizes}; copy both again from one source")
        segmentation = torch.from_numpy(nearest(labels, self.height, self.width))
        distance = torch.from_numpy(nearest(depth, self.height, self.width))
        return Decoded(
            rgb(Image.fromarray(image), self.height, self.width),
            {"segmentation": segmentation, "depth": distance.half()},
            {"segmentation": segmentation != IGNORE, "depth": distance > _FARTHEST},
        )

    def facts(self, root: Path) -> Mapping[str, str]:
        if (root / _JSON).is_file():
            return {"layout": f"files listed in {_JSON}"}
        return {"layout": f"train and val, labels in {_label_folder(root, self.classes).name}"}


def _folders(root: Path, classes: int) -> dict[str, dict[str, tuple[Path, ...]]]:
    """Image, label and depth file by name, of both official parts, where one folder holds one kind of file."""
    label = _label_folder(root, classes).name
    found: dict[str, dict[str, tuple[Path, ...]]] = {}
    for part, folder in (("train", root / "train"), ("test", root / "val")):
        kinds = [folder / kind for kind in ("image", label, "depth")]
        for kind in kinds:
            if not kind.is_dir():
                raise UserError(f"{kind}: folder is missing; data.root should be {Cityscapes.source}")
        images = sorted(kinds[0].glob("*.npy"), key=lambda file: (len(file.stem), file.stem))
        rows = {f"{folder.name}/{file.stem}": tuple(kind / file.name for kind in kinds) for file in images}
        _check_there(rows)
        found[part] = rows
    return found


def _label_folder(root: Path, classes: int) -> Path:
    there = {count: [root / "train" / name for name in names] for count, names in _LABELS.items()}
    for folder in there[classes]:
        if folder.is_dir():
            return folder
    others = [count for count, folders in there.items() if any(folder.is_dir() for folder in folders)]
    remedy = f"say data.classes={others[0]}" if others else f"data.root should be {Cityscapes.source}"
    raise UserError(f"{there[classes][0]}: folder is missing; {remedy}")


def _listed(root: Path, classes: int) -> dict[str, dict[str, tuple[Path, ...]]]:
    """Image, label and depth file by name, from the list of files that AdaShare and DiSparse read."""
    file = root / _JSON
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        found = {}
        for part in ("train", "test"):
            rows = {}
            for row in plain[part]:
                if len(row) != 5:
                    raise ValueError(f"a row of {part} has {len(row)} files, not 5")
                rows[str(row[0])] = tuple(root / row[column] for column in (0, _COLUMN[classes], 1))
            found[part] = rows
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: not a list of train and test files ({error}); copy it again") from error
    both = found["train"].keys() & found["test"].keys()
    if both:
        raise UserError(f"{file}: {min(both)} is both in train and in test; copy it again")
    for rows in found.values():
        _check_there(rows)
    return found


def _check_there(rows: Mapping[str, tuple[Path, ...]]) -> None:
    for files in rows.values():
        for file in files:
            if not is_there(file):
                raise UserError(f"{file}: file is missing; copy this part of the data again")


def _image(file: Path) -> np.ndarray:
    """uint8 [H, W, 3] of floats in [0, 1]."""
    values = read_array(file)
    if values.ndim != 3 or values.shape[2] != 3 or min(values.shape) == 0:
        raise CorruptSampleError(f"{file}: wrong shape {values.shape}, expected (height, width, 3); copy it again")
    if values.dtype == np.uint8:
        return values
    if not (np.isfinite(values).all() and values.min() >= -0.01 and values.max() <= 1.01):
        raise CorruptSampleError(f"{file}: colours outside [0, 1] or not a number; copy it again")
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _labels(file: Path, classes: int) -> np.ndarray:
    """uint8 [H, W], 255 where the file has -1."""
    values = _plane(read_array(file))
    whole = np.isfinite(values) & (values == np.floor(values))
    wrong = values[~(whole & (values >= -1) & (values < classes))]
    if wrong.size:
        expected = f"0 to {classes - 1}, or -1 for void; copy it again, or set data.classes"
        raise CorruptSampleError(f"{file}: class id {wrong.flat[0]} is not {expected}")
    return np.where(values < 0, IGNORE, values).astype(np.uint8)


def _depth(file: Path) -> np.ndarray:
    """float32 [H, W]."""
    values = single(_plane(read_array(file)))
    if not np.isfinite(values).all():
        raise CorruptSampleError(f"{file}: depth is not a number (NaN or infinite) somewhere; copy it again")
    return values


def _plane(values: np.ndarray) -> np.ndarray:
    """[H, W] of [H, W] or [H, W, 1]."""
    return values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
