"""Samples written as files in a layout that other programs read."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from msbench.data.dataset import PARTS, Dataset, Part, Progress, Samples
from msbench.errors import UserError, nearest
from msbench.tasks.task import Task


class Exporter(ABC):
    """Writes a layout. A dataset that reads layouts offers them in `exports`, by name; any dataset can be written.

    needs: kinds of tasks that the layout stores.
    """

    needs: ClassVar[tuple[str, ...]]

    def check(self, tasks: Mapping[str, Task]) -> None:
        """UserError where the layout cannot hold these tasks (by kind), such as other classes; before any writing."""
        return

    @abstractmethod
    def write(self, parts: Mapping[Part, Samples], tasks: Mapping[str, Task], folder: Path, progress: Progress) -> None:
        """All files of the layout, into an empty folder.

        parts: all of them. tasks: by kind, those of `needs`; their names are the keys of a batch.
        The same samples give the same bytes.
        """


def exporters(datasets: Mapping[str, type]) -> dict[str, type[Exporter]]:
    """What these dataset classes, by name, offer: `DATASET/LAYOUT`, and `LAYOUT` where only one reads it."""
    found: dict[str, type[Exporter]] = {}
    owners: dict[str, list[type[Exporter]]] = {}
    for name, cls in datasets.items():
        assert issubclass(cls, Dataset)
        for layout, exporter in cls.exports.items():
            found[f"{name}/{layout}"] = exporter
            owners.setdefault(layout, []).append(exporter)
    return found | {layout: offered[0] for layout, offered in owners.items() if len(offered) == 1}


def exporter(datasets: Mapping[str, type], layout: str) -> Exporter:
    """The writer of a layout; UserError for an unknown name."""
    known = exporters(datasets)
    if layout not in known:
        raise UserError(f"--layout {layout!r}: {nearest(layout, known)}")
    return known[layout]()


def export(dataset: Dataset, writer: Exporter, cache: Path, folder: Path, progress: Progress) -> dict[Part, int]:
    """Write every part of a prepared dataset into `folder`, which is then there whole; numbers of samples.

    UserError when the dataset lacks a task of the layout, or `folder` has something in it already.
    """
    tasks = {task.kind: task for task in reversed(dataset.tasks())}
    lacking = [kind for kind in writer.needs if kind not in tasks]
    if lacking:
        raise UserError(
            f"--layout: stores {', '.join(writer.needs)}, but {dataset.name} has no {', '.join(lacking)}; "
            "choose another layout or dataset"
        )
    chosen = {kind: tasks[kind] for kind in writer.needs}
    writer.check(chosen)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out {folder}: is there already and not empty; name a new folder")
    parts = {part: dataset.samples(part, cache) for part in PARTS}
    aside = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        writer.write(parts, chosen, aside, progress)
        os.replace(aside, folder)
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror or error}; name a folder that can be written") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return {part: len(samples) for part, samples in parts.items()}
