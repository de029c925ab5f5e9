"""A packed dataset of tiny text files, and processes that pack it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

import torch

from msbench.api import (
    AttributeTask,
    CorruptSampleError,
    Decoded,
    DepthTask,
    Item,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
)

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass
class Notes(PackedDataset):
    """Each sample is a file PART/NAME.txt with one number, from which everything else follows."""

    name: ClassVar[str] = "notes"
    source: ClassVar[str] = "a drawer"
    root: str = ""
    size: int = 6
    pause: float = 0.0

    def tasks(self) -> tuple[Task, ...]:
        return SegmentationTask(classes=("a", "b", "c")), DepthTask(), AttributeTask(name="odd")

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        return {part: [Item(file.stem, (file,)) for file in sorted((root / part).glob("*.txt"))] for part in PARTS}

    def parameters(self) -> dict[str, object]:
        return {key: value for key, value in super().parameters().items() if key != "pause"}

    def decode(self, item: Item) -> Decoded:
        time.sleep(self.pause)
        text = item.files[0].read_text(encoding="utf-8")
        if not text.strip().isdigit():
            raise CorruptSampleError(f"{item.files[0]}: {text!r} is no number")
        number, size = int(text), self.size
        generator = torch.Generator().manual_seed(number)
        label = torch.randint(0, 3, (size, size), generator=generator, dtype=torch.uint8)
        depth = torch.rand(size, size, generator=generator)
        return Decoded(
            torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8),
            {"segmentation": label, "depth": depth.half(), "odd": torch.tensor(number % 2 == 1)},
            {"segmentation": label < 2, "depth": depth > 0.1, "odd": torch.tensor(True)},
        )


@dataclass
class DroppingNotes(Notes):
    """The same, without the samples that cannot be read."""

    name: ClassVar[str] = "dropping_notes"
    drops: ClassVar[bool] = True


def silent(done: int, total: int, what: str) -> None:
    pass


def write_notes(root: Path, counts: Sequence[int] = (9, 3, 4)) -> Path:
    """A tree for Notes: `counts` files in train, validation and test."""
    number = 0
    for part, count in zip(PARTS, counts, strict=True):
        (root / part).mkdir(parents=True)
        for _ in range(count):
            (root / part / f"{number:04}.txt").write_text(str(number), encoding="utf-8")
            number += 1
    return root


def packed_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a packed folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_a_process(work: Callable[[], object], error: Path | None = None) -> BaseProcess:
    """A copy of this process that does the work; what it raises goes to `error`. Far quicker than a fresh one."""

    def run() -> None:
        try:
            work()
        except Exception as raised:
            if error is not None:
                error.write_text(f"{type(raised).__name__}: {raised}", encoding="utf-8")
            os._exit(1)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process
