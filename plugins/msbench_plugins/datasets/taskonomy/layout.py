"""Where a view's files lie: by domain and building, by building and domain, or one building by domain."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from msbench.api import UserError

RGB: Final = "rgb"
FOLDERS: Final = {
    RGB: ("rgb",),
    "segmentation": ("segment_semantic", "segmentsemantic"),
    "depth_zbuffer": ("depth_zbuffer", "depth"),
    "depth_euclidean": ("depth_euclidean", "mist"),
    "normals": ("normal", "surface_normal"),
    "keypoints": ("keypoints2d", "keypoint2d"),
    "edges": ("edge_texture", "edge2d"),
}
"""Names of a domain's folder: the current one first, then those of older releases and of papers' copies."""

_DOMAIN_FIRST, _BUILDING_FIRST, _FLAT = "domain/building", "building/domain", "domain, of one building"
_UNNAMED: Final = ""
_FILE: Final = re.compile(r"point_(\d+)_view_(\d+)_domain_(\w+)\.png")
_SETS: Final = ("train", "val", "test")
_ALIASES: Final = frozenset(alias for aliases in FOLDERS.values() for alias in aliases)


class View(NamedTuple):
    """One picture: building ("" where the layout names none), point of the building, and view of the point."""

    building: str
    point: int
    view: int

    def __str__(self) -> str:
        name = f"point_{self.point}_view_{self.view}"
        return f"{self.building}/{name}" if self.building else name


@dataclass(frozen=True)
class Tree:
    """What a folder holds. files: of the views that have a file in every domain asked for, in that order.

    seen: number of views by domain, before those without all files were left out.
    """

    layout: str
    files: Mapping[View, tuple[Path, ...]]
    seen: Mapping[str, int]

    @property
    def buildings(self) -> list[str]:
        return sorted({view.building for view in self.files})


def scan(root: Path, domains: Sequence[str], wanted: Collection[str] | None = None) -> Tree:
    """All views below `root`, or those of the wanted buildings; UserError where a domain has no folder at all."""
    layout = _layout(root)
    found: dict[str, dict[View, Path]] = {domain: {} for domain in domains}
    missing = set(domains)
    for domain in domains:
        for building, folder in _places(root, layout, domain):
            missing.discard(domain)
            if wanted is None or building in wanted:
                found[domain] |= _views(folder, building)
    if missing:
        domain = min(missing)
        names = " or ".join(FOLDERS[domain])
        raise UserError(f"{root}: no folder {names}; download it, or leave that task out with data.targets=[…]")
    shared = sorted(set.intersection(*(set(views) for views in found.values())))
    files = {view: tuple(found[domain][view] for domain in domains) for view in shared}
    return Tree(layout, files, Counter({domain: len(views) for domain, views in found.items()}))


def view_of(path: str) -> View | None:
    """The view that a path of a list names, in either order of folders; None where it names none."""
    *folders, name = path.split("/")
    match = _FILE.fullmatch(name)
    building = [folder for folder in folders if folder not in _ALIASES | {"taskonomy", *_SETS}]
    return View(building[-1], int(match[1]), int(match[2])) if match and building else None


def _layout(root: Path) -> str:
    for folder in _named(root, RGB):
        with os.scandir(folder) as entries:
            first = next(entries, None)
        if first is not None:
            return _FLAT if first.is_file() else _DOMAIN_FIRST
    if any(True for base in _bases(root) for building in _below(base) for _ in _named(building, RGB)):
        return _BUILDING_FIRST
    expected = "rgb/taskonomy/BUILDING, BUILDING/rgb or rgb with the pictures"
    raise UserError(f"{root}: no folder of pictures; expected {expected} in it")


def _places(root: Path, layout: str, domain: str) -> Iterator[tuple[str, Path]]:
    """Folders with a domain's pictures, each with its building."""
    if layout == _BUILDING_FIRST:
        for base in _bases(root):
            for building in _below(base):
                yield from ((building.name, folder) for folder in _named(building, domain))
        return
    for folder in _named(root, domain):
        if layout == _FLAT:
            yield _UNNAMED, folder
        else:
            inner = folder / "taskonomy"
            yield from ((building.name, building) for building in _below(inner if inner.is_dir() else folder))


def _bases(root: Path) -> list[Path]:
    """Folders that hold buildings: root, and the sets that AdapMTL sorts them into."""
    return [root, *(root / name for name in _SETS if (root / name).is_dir())]


def _below(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())


def _named(folder: Path, domain: str) -> Iterator[Path]:
    """The first folder that bears one of the domain's names."""
    yield from [folder / name for name in FOLDERS[domain] if (folder / name).is_dir()][:1]


def _views(folder: Path, building: str) -> dict[View, Path]:
    matches = ((_FILE.fullmatch(entry.name), entry.path) for entry in os.scandir(folder))
    return {View(building, int(match[1]), int(match[2])): Path(path) for match, path in matches if match}
