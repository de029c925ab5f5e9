"""A dataset that is drawn: one bright disc on noise."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Interval
from safetensors.torch import load_file, save_file
from torch import Tensor

from msbench.api import (
    AttributeTask,
    Dataset,
    Part,
    Progress,
    Samples,
    SegmentationTask,
    Task,
    TensorSamples,
    build_once,
)

COUNTS: dict[Part, int] = {"train": 128, "validation": 32, "test": 64}


@dataclass
class Discs(Dataset):
    """One bright disc on noise: which pixels it covers, and whether it is large.

    side: pixels of a picture's side.
    seed: of the pictures; not the run's seed.
    """

    name: ClassVar[str] = "discs"
    licence: ClassVar[str] = "generated on your machine (Apache-2.0)"
    synthetic: ClassVar[bool] = True
    side: Annotated[int, Interval(ge=16, le=256)] = 32
    seed: Annotated[int, Ge(0)] = 0

    def tasks(self) -> tuple[Task, ...]:
        return (SegmentationTask(classes=("background", "disc")), AttributeTask("large", "Large disc"))

    def prepare(self, cache: Path, progress: Progress) -> None:
        build_once(self._folder(cache), lambda aside: self._write(aside, progress))

    def samples(self, part: Part, cache: Path) -> Samples:
        stored = load_file(self._folder(cache) / f"{part}.safetensors")
        disc, large = stored["disc"], stored["large"].bool()
        valid = {"segmentation": torch.ones_like(disc, dtype=torch.bool), "large": torch.ones_like(large)}
        return TensorSamples(stored["image"], {"segmentation": disc, "large": large}, valid)

    def fingerprint(self, cache: Path) -> str:
        source = Path(__file__).read_text(encoding="utf-8")
        return hashlib.sha256(f"{source} side={self.side} seed={self.seed}".encode()).hexdigest()

    def _write(self, folder: Path, progress: Progress) -> None:
        for number, (part, count) in enumerate(COUNTS.items()):
            image, disc, radius = draw(count, self.side, seed=len(COUNTS) * self.seed + number)
            large = (radius > self.side * 0.25).to(torch.uint8)
            save_file({"image": image, "disc": disc, "large": large}, folder / f"{part}.safetensors")
            progress(number + 1, len(COUNTS), "drawing discs")

    def _folder(self, cache: Path) -> Path:
        return cache / f"discs-{self.fingerprint(cache)[:16]}"


def draw(count: int, side: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images uint8 [N, 3, side, side], labels uint8 [N, side, side] (1 on the disc), radii in pixels [N].

    A pixel belongs to the disc if its centre does; discs lie wholly inside the picture.
    """
    generator = torch.Generator().manual_seed(seed)
    radius = side * (0.15 + 0.2 * torch.rand(count, generator=generator))
    centre = radius[:, None] + (side - 2 * radius[:, None]) * torch.rand(count, 2, generator=generator)
    grid = torch.arange(side) + 0.5
    from_left = (grid - centre[:, :1]).square()[:, None, :]
    from_top = (grid - centre[:, 1:]).square()[:, :, None]
    disc = from_left + from_top <= radius.square()[:, None, None]
    colour = torch.randint(120, 195, (count, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 60, (count, 3, side, side), generator=generator)
    return (disc[:, None] * colour + noise).to(torch.uint8), disc.to(torch.uint8), radius
