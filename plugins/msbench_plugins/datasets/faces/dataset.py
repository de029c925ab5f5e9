"""The dataset plugin: faces drawn once into the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import torch
from safetensors.torch import load_file, save_file

from msbench.api import (
    AttributeTask,
    Dataset,
    Part,
    Progress,
    Samples,
    SegmentationTask,
    Task,
    TensorSamples,
    UserError,
    build_once,
)

from ..rooms import draw, filters, texture
from .attributes import LABELS, NAMES
from .canvas import Region
from .render import render


@dataclass(frozen=True)
class Size:
    """Side of a picture in pixels, and the number of pictures in each part."""

    pixels: int
    counts: dict[str, int]


SIZES: Final = {
    "xs": Size(32, {"train": 256, "validation": 64, "test": 64}),
    "s": Size(64, {"train": 2000, "validation": 400, "test": 600}),
    "m": Size(96, {"train": 4000, "validation": 600, "test": 1000}),
}
_PALETTE: Final = ((60, 60, 70), (230, 159, 0), (86, 180, 233))
_SHARED: Final = (draw, filters, texture)


@dataclass
class Faces(Dataset):
    """Drawn faces in place of CelebAMask-HQ: hair and skin to segment, six yes-or-no questions that correlate.

    Cartoons: they say nothing about people. The attributes bear CelebA's names so that the papers' task sets T1
    (segmentation) to T7 (arched eyebrows) can be written as they are. Neck and body, hats and what is held before
    a face are background; ears, and skin behind glasses, are skin.

    size: xs (32 px, 256/64/64 pictures), s (64 px, 2000/400/600) or m (96 px, 4000/600/1000).
    seed: of the faces; not the run's seed.
    """

    name: ClassVar[str] = "faces"
    licence: ClassVar[str] = "generated on your machine by msbench (Apache-2.0)"
    synthetic: ClassVar[bool] = True
    size: str = "s"
    seed: int = 7

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"data.size: no faces of size {self.size!r}; choose one of {', '.join(SIZES)}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UserError(f"data.seed: {self.seed!r} is not a whole number from 0 on")

    def tasks(self) -> tuple[Task, ...]:
        segmentation = SegmentationTask(classes=tuple(region.name.lower() for region in Region), palette=_PALETTE)
        return (segmentation, *(AttributeTask(name, label) for name, label in zip(NAMES, LABELS, strict=True)))

    def prepare(self, cache: Path, progress: Progress) -> None:
        build_once(self._folder(cache), lambda aside: self._draw(aside, progress))

    def samples(self, part: Part, cache: Path) -> Samples:
        stored = load_file(self._folder(cache) / f"{part}.safetensors")
        answers = zip(NAMES, stored["attributes"].unbind(1), strict=True)
        targets = {"segmentation": stored["segmentation"], **dict(answers)}
        known = {name: torch.ones(1, dtype=torch.bool).expand(target.shape) for name, target in targets.items()}
        return TensorSamples(stored["image"], targets, known)

    def fingerprint(self, cache: Path) -> str:
        return hashlib.sha256(f"{_generator_digest()} size={self.size} seed={self.seed}".encode()).hexdigest()

    def _draw(self, folder: Path, progress: Progress) -> None:
        size = SIZES[self.size]
        done, total = 0, sum(size.counts.values())

        def report(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total, "drawing faces")

        for part, count in size.counts.items():
            portraits = render(self.seed, part, range(count), size.pixels, report)
            save_file(vars(portraits), folder / f"{part}.safetensors")

    def _folder(self, cache: Path) -> Path:
        return cache / f"faces-v1-{self.size}-{self.seed}-{_generator_digest()[:10]}"


def _generator_digest() -> str:
    """sha256 of the generator's sources, here and in rooms: a changed generator makes other data."""
    own = (source for source in Path(__file__).parent.glob("*.py") if source.name != Path(__file__).name)
    borrowed = (Path(str(module.__file__)) for module in _SHARED)
    digest = hashlib.sha256()
    for source in sorted((*own, *borrowed)):
        digest.update(f"{source.name}\n{source.read_text(encoding='utf-8')}".encode())
    return digest.hexdigest()
