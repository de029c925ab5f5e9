"""The dataset plugin: rooms rendered once into the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from msbench.api import (
    Dataset,
    DepthTask,
    EdgesTask,
    NormalsTask,
    Part,
    Progress,
    Samples,
    SegmentationTask,
    Task,
    UserError,
    build_once,
)

from .labels import NYU13, NYU40, PALETTE13
from .produce import SIZES, part_file, produce
from .storage import RoomsSamples

_SEGMENTATION: Final = {
    13: SegmentationTask(classes=NYU13, palette=PALETTE13),
    40: SegmentationTask(classes=NYU40),
}


@dataclass
class Rooms(Dataset):
    """Ray-cast furnished rooms with exact NYU-like labels, depth, normals and texture edges.

    size: xs (32 px, 96/32/32 pictures), s (64 px, 1000/200/300) or m (96 px, 2000/300/500).
    seed: of the scenes; not the run's seed. classes: 13 or 40, as in NYU Depth v2.
    """

    name: ClassVar[str] = "rooms"
    licence: ClassVar[str] = "generated on your machine by msbench (Apache-2.0)"
    synthetic: ClassVar[bool] = True
    size: str = "s"
    seed: int = 7
    classes: int = 13

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"data.size: no rooms of size {self.size!r}; choose one of {', '.join(SIZES)}")
        if self.classes not in _SEGMENTATION:
            raise UserError(f"data.classes: {self.classes!r} is neither 13 nor 40, NYU's two label sets")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UserError(f"data.seed: {self.seed!r} is not a whole number from 0 on")

    def tasks(self) -> tuple[Task, ...]:
        return (_SEGMENTATION[self.classes], DepthTask(typical=2.5), NormalsTask(), EdgesTask())

    def default_tasks(self) -> tuple[str, ...]:
        return ("segmentation", "depth", "normals")

    def prepare(self, cache: Path, progress: Progress) -> None:
        with whole_lines():
            build_once(self._folder(cache), lambda aside: produce(aside, self.size, self.seed, progress))

    def samples(self, part: Part, cache: Path) -> Samples:
        return RoomsSamples(part_file(self._folder(cache), part), self.classes)

    def fingerprint(self, cache: Path) -> str:
        parameters = f"size={self.size} seed={self.seed} classes={self.classes}"
        return hashlib.sha256(f"{_generator_digest()} {parameters}".encode()).hexdigest()

    def _folder(self, cache: Path) -> Path:
        return cache / f"rooms-v1-{self.size}-{self.seed}-{_generator_digest()[:10]}"


@contextmanager
def whole_lines() -> Iterator[None]:
    """Rendering processes count into one pipe, whole lines at a time: but not where Python is told not to buffer.

    Here and not beside the processes, since a change of the generator's sources makes other data.
    """
    told = os.environ.pop("PYTHONUNBUFFERED", None)
    try:
        yield
    finally:
        if told is not None:
            os.environ["PYTHONUNBUFFERED"] = told


def _generator_digest() -> str:
    """sha256 of the generator's sources: a changed generator makes other data."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.name != Path(__file__).name:
            digest.update(f"{source.name}\n{source.read_text(encoding='utf-8')}".encode())
    return digest.hexdigest()
