"""What a layout is: how it is recognised, which samples it has, and what one of them holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Item, UserError

from ..pixels import is_there
from .sample import Sample


@dataclass(frozen=True)
class Split:
    """The official training and test samples, in the order of the layout."""

    train: list[Item]
    test: list[Item]


@dataclass(frozen=True)
class Layout(ABC):
    """One way in which the dataset is passed around.

    protocol: `none`, or the paper whose reading of this layout is asked for.
    classes: of the finest labels stored. edges: whether it has edges. cropped: images are the toolbox's crop.
    evidence: paths below the root, any group of which shows that the layout is there.
    source: where to get it, with what is known about size and checksum.
    """

    name: ClassVar[str]
    classes: ClassVar[int]
    edges: ClassVar[bool] = False
    cropped: ClassVar[bool] = False
    evidence: ClassVar[tuple[tuple[str, ...], ...]]
    source: ClassVar[str]
    note: ClassVar[str] = ""
    protocol: str = "none"

    @classmethod
    def found(cls, root: Path) -> bool:
        """Whether this layout lies at `root`."""
        return any(all((root / path).exists() for path in paths) for paths in cls.evidence)

    def has_normals(self, root: Path) -> bool:
        """Whether normals are stored, so that they need not be derived."""
        return True

    def labels(self) -> int:
        """Number of classes that `read` gives."""
        return self.classes

    @abstractmethod
    def split(self, root: Path) -> Split:
        """The samples, without opening them; UserError names what is missing."""

    @abstractmethod
    def read(self, item: Item) -> Sample:
        """One sample; CorruptSampleError names the file."""


def existing(layout: type[Layout], *files: Path) -> tuple[Path, ...]:
    """These files; UserError names the first that is missing."""
    for file in files:
        if not is_there(file):
            raise UserError(f"{file}: is missing; data.root should be {layout.source}")
    return files


def existing_folder(layout: type[Layout], folder: Path) -> Path:
    """This folder; UserError where it is missing."""
    if not folder.is_dir():
        raise UserError(f"{folder}: folder is missing; data.root should be {layout.source}")
    return folder


def either(layout: type[Layout], stem: Path, suffixes: Iterable[str]) -> Path:
    """The file with one of these suffixes; UserError where there is none."""
    candidates = [stem.with_name(stem.name + suffix) for suffix in suffixes]
    for candidate in candidates:
        if is_there(candidate):
            return candidate
    others = ", ".join(candidate.name for candidate in candidates[1:])
    nor = f" (nor is there {others})" if others else ""
    raise UserError(f"{candidates[0]}: is missing{nor}; data.root should be {layout.source}")
