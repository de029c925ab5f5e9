"""The dataset plugin: a CelebAMask-HQ tree, official or derived."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from msbench.api import AttributeTask, Decoded, Item, PackedDataset, Part, SegmentationTask, Task, UserError

from ..pixels import check_pixels, nearest, read_picture, rgb
from .attributes import FILE, AttributeTable, read_attributes
from .masks import PARTS, THREE, Masks, find_masks, read_labels
from .splits import JSON, MAPPING, SPLITS, Split, at_random, by_celeba, by_json, of_less_is_more

_IMAGES: Final = "CelebA-HQ-img"
_SIX: Final = ("Male", "Smiling", "Big_Lips", "High_Cheekbones", "Wearing_Lipstick", "Arched_Eyebrows")
_PAPER: Final = "paper:less_is_more"
_SEGMENTATION: Final = {
    3: SegmentationTask(classes=THREE, palette=((60, 60, 70), (230, 159, 0), (86, 180, 233))),
    19: SegmentationTask(classes=PARTS),
}


@dataclass
class CelebAMaskHQ(PackedDataset):
    """30,000 photographs of faces: hair and skin, or all 19 parts, to segment, and any of forty attributes.

    root: the unpacked archive, with a folder of masks for each part; or with merged masks (CelebAMask-HQ-mask/<i>.png,
    0 to 18) or three-class arrays (CelebA-HQ-segmask/<i>_mask.npy). classes: 3 (background, hair, skin) or 19.
    attributes: columns of the attribute list; the task is called as the column, in lower case.
    split: celeba (CelebA's own partition), random (70/15/15, always the same) or json (the lists of split_file, by
    default celebA_datasplit.json). height, width: of images and masks.
    protocol: `paper:less_is_more` repeats that paper's loader, the first third of every part and masks that are
    interpolated, for figures beside its own; never use it otherwise.
    """

    name: ClassVar[str] = "celebamask_hq"
    paper: ClassVar[str] = (
        "Lee, Liu, Wu, Luo. MaskGAN: towards diverse and interactive facial image manipulation. CVPR 2020; "
        "attributes of Liu, Luo, Wang, Tang. Deep learning face attributes in the wild. ICCV 2015"
    )
    licence: ClassVar[str] = "non-commercial research and education only; not redistributed with msbench"
    source: ClassVar[str] = (
        "CelebAMask-HQ.zip (Google Drive 1badu11NqxGf6qM3PTTooQDJvQbejgbTv, from "
        "github.com/switchablenorms/CelebAMask-HQ; 2.94 GB, 4.2 GB unpacked; no checksum published; "
        "non-commercial research only)"
    )
    location: ClassVar[tuple[str, ...]] = ("root", "split_file")
    root: str = ""
    classes: int = 3
    attributes: tuple[str, ...] = _SIX
    split: str = "celeba"
    split_file: str = ""
    height: int = 128
    width: int = 128
    protocol: Literal["none", "paper:less_is_more"] = "none"

    def __post_init__(self) -> None:
        check_pixels(self.height, self.width)
        if self.classes not in _SEGMENTATION:
            raise UserError(f"data.classes: {self.classes!r} is neither 3 (background, hair, skin) nor 19")
        if self.split not in SPLITS:
            raise UserError(f"data.split: no split {self.split!r}; choose one of {', '.join(SPLITS)}")
        if self.split_file and self.split != "json":
            raise UserError(f"data.split_file: read with data.split=json only, not with {self.split}")
        if self.protocol not in ("none", _PAPER):
            raise UserError(f"data.protocol: no protocol {self.protocol!r}; choose none or {_PAPER}")
        if self.protocol == _PAPER and self.classes != len(THREE):
            raise UserError(f"data.protocol: {_PAPER} has 3 classes; say data.classes=3")
        lower = [name.lower() for name in self.attributes]
        for name in lower:
            if not re.fullmatch(r"\w+", name) or name == "segmentation" or lower.count(name) > 1:
                raise UserError(f"data.attributes: {name!r} is no name of an attribute, or is there twice")
        self._tables: dict[Path, AttributeTable] = {}

    def tasks(self) -> tuple[Task, ...]:
        answers = (AttributeTask(name.lower(), name.replace("_", " ").lower()) for name in self.attributes)
        return (_SEGMENTATION[self.classes], *answers)

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        tree = _tree(root)
        numbers, masks = _numbers(tree), self._masks(tree)
        shared = self._attribute_list(tree)
        parts: dict[Part, Sequence[Item]] = {}
        for part, chosen in self._split(tree, numbers).items():
            parts[part] = [
                Item(str(number), (tree / _IMAGES / f"{number}.jpg", *masks.of(number), *shared)) for number in chosen
            ]
            if not chosen:
                raise UserError(f"{tree / _IMAGES}: split {self.split} leaves no image for {part}; copy all images")
        return parts

    def decode(self, item: Item) -> Decoded:
        files = list(item.files)
        answers: list[bool] = []
        if self.attributes:
            answers = self._table(files.pop()).answers(files[0].name, self.attributes)
        picture = read_picture(files[0], at_least=(2 * self.width, 2 * self.height))
        segmentation = self._resized(read_labels(files[1:], self.classes))
        targets = {"segmentation": segmentation}
        targets |= {
            name.lower(): torch.tensor(float(answer), dtype=torch.float16)
            for name, answer in zip(self.attributes, answers, strict=True)
        }
        known = {name: torch.ones(target.shape, dtype=torch.bool) for name, target in targets.items()}
        return Decoded(rgb(picture, self.height, self.width), targets, known)

    def facts(self, root: Path) -> Mapping[str, str]:
        tree = _tree(root)
        masks = self._masks(tree)
        kinds = {"parts": "one picture a part", "merged": "merged pictures", "array": "arrays of three classes"}
        return {"layout": f"{masks.folder.name}: {kinds[masks.kind]}", "split": self.split, "protocol": self.protocol}

    def _masks(self, tree: Path) -> Masks:
        """What the archive has comes first; the paper's own export first where its figures are repeated."""
        kinds = ["parts", "merged"] + ["array"] * (self.classes == len(THREE))
        return find_masks(tree, kinds[::-1] if self.protocol == _PAPER else kinds)

    def _split(self, tree: Path, numbers: Sequence[int]) -> Split:
        if self.split == "celeba":
            split = by_celeba(numbers, tree / MAPPING)
        elif self.split == "random":
            split = at_random(numbers)
        else:
            split = by_json(numbers, Path(self.split_file).expanduser() if self.split_file else tree / JSON)
        return of_less_is_more(split) if self.protocol == _PAPER else split

    def _attribute_list(self, tree: Path) -> tuple[Path, ...]:
        if not self.attributes:
            return ()
        self._table(tree / FILE).check(self.attributes)
        return (tree / FILE,)

    def _table(self, file: Path) -> AttributeTable:
        if file not in self._tables:
            self._tables[file] = read_attributes(file)
        return self._tables[file]

    def _resized(self, labels: np.ndarray) -> Tensor:
        if self.protocol != _PAPER:
            return torch.from_numpy(nearest(labels, self.height, self.width))
        # the paper's way: class numbers interpolated, then cut off, so that hair (1) grows around skin (2)
        plane = torch.from_numpy(labels).float()[None, None]
        return F.interpolate(plane, (self.height, self.width), mode="bilinear")[0, 0].to(torch.uint8)


def _tree(root: Path) -> Path:
    """The folder with the images: root itself, or the archive's own folder in it."""
    for tree in (root, root / "CelebAMask-HQ"):
        if (tree / _IMAGES).is_dir():
            return tree
    raise UserError(f"{root / _IMAGES}: folder is missing; data.root should be {CelebAMaskHQ.source}")


def _numbers(tree: Path) -> list[int]:
    numbers = sorted(int(file.stem) for file in (tree / _IMAGES).glob("*.jpg") if re.fullmatch("[0-9]{1,9}", file.stem))
    if not numbers:
        raise UserError(f"{tree / _IMAGES}: no images <i>.jpg in it; copy them again")
    return numbers
