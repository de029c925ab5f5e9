"""The dataset plugin: a Taskonomy tree in any of its layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from msbench.api import (
    Decoded,
    DepthTask,
    EdgesTask,
    Item,
    KeypointsTask,
    NormalsTask,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
    UserError,
)

from ..pixels import IGNORE, check_pixels, read_picture, rgb
from . import decode
from .layout import RGB, Tree, scan
from .splits import CSV, JSON, SPLITS, TINY, Split, at_random, by_building, by_json, read_csv

_FIVE: Final = ("segmentation", "depth", "normals", "keypoints", "edges")
_PRIOR: Final = (
    0.54241, 9.16744, 7.33099, 7.16203, 8.72288, 7.61330, 8.23692, 9.14858, 8.82202, 9.08579, 8.91407, 9.17723, 9.03539,
    8.60392, 9.16992, 9.14673, 9.13736,
)  # fmt: skip
"""Weights of the 17 classes in those papers' cross entropy: Taskonomy's semseg_prior_factor."""

_PROTOCOLS: Final = ("none", "paper:adapmtl", "paper:disparse")


@dataclass(frozen=True)
class LogDepthTask(DepthTask):
    """ln(1 + 512 d) / ln(2¹⁶) of a distance of d metres. Target: float [B, H, W], no unit; 0 is no measurement."""

    unit: ClassVar[str] = ""
    typical: float = 0.65
    objective: Literal["hu", "l1", "l2"] = "l1"

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        """Of the distance divided by `factor`."""
        scale = math.log(2**16)
        return torch.log1p(torch.expm1(target * scale) / factor.to(target).view(-1, 1, 1)) / scale


@dataclass
class Taskonomy(PackedDataset):
    """Views of buildings with 17 classes, depth, normals, keypoints and texture edges.

    A view takes part when all of its files are there; what cannot be read is left out and counted.

    root: DOMAIN/taskonomy/BUILDING (omnidata), BUILDING/DOMAIN (also below train and test), or DOMAIN with the
    pictures of one building. targets: the tasks whose files are read. depth: zbuffer, along the optical axis, or
    euclidean, along the ray. split: tiny (the official buildings), random (70/15/15 by building; by point where there
    are fewer than three), csv (split_file with columns id, train, val, test) or json (AdaShare's lists; split_file,
    by default taskonomy.json). height, width: of images and targets.
    protocol: `paper:adapmtl` and `paper:disparse` repeat those papers' targets: uncertain pixels are background,
    classes are weighted, depth is logarithmic, normals count where depth does (AdapMTL) or everywhere (DiSparse); never
    use it otherwise.
    """

    name: ClassVar[str] = "taskonomy"
    paper: ClassVar[str] = "Zamir et al. Taskonomy: disentangling task transfer learning. CVPR 2018"
    licence: ClassVar[str] = "Taskonomy EULA: research and education, non-commercial; not redistributed with msbench"
    source: ClassVar[str] = (
        "Tiny-Taskonomy, by `omnitools.download rgb segment_semantic normal depth_zbuffer keypoints2d edge_texture "
        "--components taskonomy --subset tiny` (262,745 views of 512x512, hundreds of GB; checksums verified by that "
        "tool; EULA in github.com/StanfordVL/taskonomy, non-commercial)"
    )
    drops: ClassVar[bool] = True
    location: ClassVar[tuple[str, ...]] = ("root", "split_file")
    root: str = ""
    targets: tuple[str, ...] = _FIVE
    depth: Literal["zbuffer", "euclidean"] = "zbuffer"
    split: str = "tiny"
    split_file: str = ""
    height: int = 128
    width: int = 128
    protocol: Literal["none", "paper:adapmtl", "paper:disparse"] = "none"

    def __post_init__(self) -> None:
        check_pixels(self.height, self.width)
        if not self.targets or len(set(self.targets)) != len(self.targets) or not set(self.targets) <= set(_FIVE):
            raise UserError(f"data.targets: {list(self.targets)} are not some of {', '.join(_FIVE)}, each once")
        if self.depth not in ("zbuffer", "euclidean"):
            raise UserError(f"data.depth: {self.depth!r} is neither zbuffer nor euclidean")
        if self.split not in SPLITS:
            raise UserError(f"data.split: no split {self.split!r}; choose one of {', '.join(SPLITS)}")
        if self.split_file and self.split not in ("csv", "json"):
            raise UserError(f"data.split_file: read with data.split=csv or json only, not with {self.split}")
        if self.protocol not in _PROTOCOLS:
            raise UserError(f"data.protocol: no protocol {self.protocol!r}; choose one of {', '.join(_PROTOCOLS)}")

    def tasks(self) -> tuple[Task, ...]:
        if self.protocol == "none":
            first = (SegmentationTask(classes=decode.CLASSES), DepthTask(typical=2.5))
        else:
            first = (SegmentationTask(classes=decode.CLASSES, class_weights=_PRIOR), LogDepthTask())
        every = (*first, NormalsTask(), KeypointsTask(), EdgesTask())
        return tuple(task for task in every if task.name in self.targets)

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        tree, split = self._tree(root)
        parts: dict[Part, Sequence[Item]] = {}
        for part, views in split.items():
            parts[part] = [Item(str(view), tree.files[view]) for view in views]
            if not views:
                raise UserError(self._empty(root, part, tree))
        return parts

    def decode(self, item: Item) -> Decoded:
        files = dict(zip(self._domains(), item.files, strict=True))
        picture = read_picture(files.pop(RGB))
        targets: dict[str, Tensor] = {}
        known: dict[str, Tensor] = {}
        for domain, file in files.items():
            name = domain.split("_")[0]
            targets[name], known[name] = self._target(name, file, picture.size)
        if "normals" in targets and "depth" in targets:
            known["normals"] = self._where_normals_count(known["normals"], known["depth"])
        ordered = [task.name for task in self.tasks()]
        return Decoded(
            rgb(picture, self.height, self.width),
            {name: targets[name] for name in ordered},
            {name: known[name] for name in ordered},
        )

    def facts(self, root: Path) -> Mapping[str, str]:
        tree, split = self._tree(root)
        seen = ", ".join(f"{domain} {count}" for domain, count in tree.seen.items())
        used = {view.building for views in split.values() for view in views}
        facts = {"layout": tree.layout, "split": self.split, "buildings used": str(len(used)), "files": seen}
        facts["views with every file"] = str(len(tree.files))
        if self.split == "tiny":
            official = {building for buildings in TINY.values() for building in buildings}
            facts["buildings missing"] = ", ".join(sorted(official - used)) or "none"
        return facts | {"protocol": self.protocol}

    def _domains(self) -> list[str]:
        """What is read of each view: the picture, and each target's domain."""
        ordered = [name for name in _FIVE if name in self.targets]
        return [RGB, *(f"depth_{self.depth}" if name == "depth" else name for name in ordered)]

    def _tree(self, root: Path) -> tuple[Tree, Split]:
        file = Path(self.split_file).expanduser() if self.split_file else root / (CSV if self.split == "csv" else JSON)
        if self.split in ("tiny", "csv"):
            buildings = TINY if self.split == "tiny" else read_csv(file)
            tree = scan(root, self._domains(), {name for names in buildings.values() for name in names})
            return tree, by_building(tree.files, buildings)
        tree = scan(root, self._domains())
        views = list(tree.files)
        return tree, at_random(views) if self.split == "random" else by_json(views, file)

    def _empty(self, root: Path, part: Part, tree: Tree) -> str:
        """What to say of a part without views."""
        seen = ", ".join(f"{domain} {count}" for domain, count in tree.seen.items())
        wanted = f" (buildings {', '.join(TINY[part])})" if self.split == "tiny" else ""
        return (
            f"{root}: split {self.split} leaves no view for {part}{wanted}; found, by domain: {seen}; "
            f"download the rest, or say data.split=random"
        )

    def _target(self, name: str, file: Path, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Target and where it counts, of one task."""
        if name == "normals":
            vectors, known = decode.normals(decode.read_colours(file, size, self.height, self.width))
            return vectors.half(), known
        codes = decode.read_codes(file, size, self.height, self.width, sixteen=name != "segmentation")
        if name == "segmentation":
            labels = decode.segmentation(codes, file, self.protocol != "none")
            return labels, labels != IGNORE
        if name == "depth":
            depth = decode.metres(codes) if self.protocol == "none" else decode.log_depth(codes)
            return depth.half(), depth > 0
        strength = decode.strength(codes, name)
        return strength.half(), torch.ones_like(strength, dtype=torch.bool)

    def _where_normals_count(self, normals: Tensor, depth: Tensor) -> Tensor:
        if self.protocol == "none":
            return normals & depth
        return depth if self.protocol == "paper:adapmtl" else torch.ones_like(depth)
