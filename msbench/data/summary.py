"""What there is to say about a dataset before anything runs on it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from msbench.data.arrays import row_bytes
from msbench.data.contract import arrays_of, layouts_of
from msbench.data.dataset import PARTS, Dataset, Part, Progress
from msbench.data.manifest import Packed, is_packed
from msbench.data.packed import PackedDataset
from msbench.errors import UserError
from msbench.tasks.task import Task

Line = tuple[str, str]
"""Heading and text."""

SHOWN = 5
"""Dropped samples that are named one by one."""


def about(dataset: Dataset) -> Iterator[Line]:
    """What is known without the data."""
    yield "what", (inspect.getdoc(type(dataset)) or dataset.name).splitlines()[0]
    yield "data", "synthetic" if dataset.synthetic else "real"
    yield "licence", dataset.licence or "not stated"
    if dataset.paper:
        yield "paper", dataset.paper
    if isinstance(dataset, PackedDataset):
        yield "source", dataset.source


def found(dataset: Dataset, cache: Path, progress: Progress) -> Iterator[Line]:
    """What the data itself says; UserError where it is missing.

    A dataset of files is looked at as it is, packed or not; any other one is prepared first.
    """
    if not isinstance(dataset, PackedDataset):
        yield from _prepared(dataset, cache, progress)
        return
    packed = packed_folder(dataset, cache)
    if packed is None:
        yield from _unpacked(dataset)
        return
    dataset.check(packed)
    yield "folder", str(dataset.folder())
    yield from packed.manifest.facts.items()
    yield "tasks", task_line(dataset.tasks())
    yield "samples", counted(packed.manifest.counts)
    yield from dropped(packed)
    yield "image", _size(packed.samples("train").image.shape)
    yield "packed", f"{packed.folder} ({packed.bytes / 1e6:.1f} MB)"
    yield "fingerprint", packed.digest


def packed_folder(dataset: PackedDataset, cache: Path) -> Packed | None:
    """The packed samples of a dataset, without packing them; None where they are not there yet."""
    root = dataset.folder()
    place = root if is_packed(root) else dataset.place(cache, root, dataset.index(root))
    return Packed.open(place) if is_packed(place) else None


def task_line(tasks: tuple[Task, ...]) -> str:
    """Names, with what is special about each."""
    words = []
    for task in tasks:
        classes = getattr(task, "classes", ())
        words.append(f"{task.name} ({len(classes)} classes)" if classes else task.name)
    return ", ".join(words)


def _prepared(dataset: Dataset, cache: Path, progress: Progress) -> Iterator[Line]:
    dataset.prepare(cache, progress)
    parts = {part: dataset.samples(part, cache) for part in PARTS}
    yield "tasks", task_line(dataset.tasks())
    yield "samples", counted({part: len(samples) for part, samples in parts.items()})
    yield "image", _size(parts["train"].batch(torch.tensor([0])).image.shape)
    yield "fingerprint", dataset.fingerprint(cache)


def _unpacked(dataset: PackedDataset) -> Iterator[Line]:
    root = dataset.folder()
    index = dataset.index(root)
    tasks = dataset.tasks()
    yield "folder", str(root)
    yield from dataset.facts(root).items()
    yield "tasks", task_line(tasks)
    yield "samples", counted({part: len(index[part]) for part in PARTS})
    first = dataset.decode(index["train"][0])
    layouts = layouts_of(arrays_of(first, tasks))
    needed = sum(map(row_bytes, layouts.values())) * sum(len(index[part]) for part in PARTS)
    yield "image", _size(first.image.shape)
    yield "packed", f"not yet: `msbench data prepare {dataset.name}` or the first run does it ({needed / 1e6:.1f} MB)"
    yield "fingerprint", f"{dataset.state(root, index)} (of the files; that of the samples once they are packed)"


def counted(counts: Mapping[Part, int]) -> str:
    """Samples of every part, in a line."""
    return ", ".join(f"{part} {count}" for part, count in counts.items())


def dropped(packed: Packed) -> Iterator[Line]:
    """How many samples were left out and which; nothing where all were packed."""
    lost = [f"{part}/{name}: {why}" for part, names in packed.manifest.dropped.items() for name, why in names.items()]
    if lost:
        rest = f" … and {len(lost) - SHOWN} more in {packed.folder / 'packed.json'}" if len(lost) > SHOWN else ""
        yield "left out", f"{len(lost)} corrupt samples. " + "; ".join(lost[:SHOWN]) + rest


def _size(shape: torch.Size) -> str:
    return f"{shape[-1]}x{shape[-2]} (width x height)"


def verify(dataset: Dataset, cache: Path, progress: Progress) -> str:
    """Read every packed byte again; UserError names the arrays that have changed since they were written."""
    packed = packed_folder(dataset, cache) if isinstance(dataset, PackedDataset) else None
    if packed is None:
        raise UserError(f"--verify: nothing of {dataset.name} is packed, so there are no checksums to compare")
    damaged = packed.verify(progress)
    if damaged:
        names = ", ".join(damaged)
        raise UserError(f"{packed.folder}: changed since it was packed: {names}; delete the folder and pack again")
    return f"all {len(packed.manifest.arrays)} arrays are as they were written"
