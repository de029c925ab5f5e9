"""Any dataset's samples in the layouts of NYU Depth v2, which then read like the real ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from msbench.api import Exporter, Part, Progress, Samples, SegmentationTask, Task, UserError

from .classes import NAMES, relabel
from .export_mat import write_official
from .files import VOID
from .sample import Listed, Sample
from .split import merge
from .writers import write_adashare, write_mtan, write_nyud_mt


class NyuExporter(Exporter):
    """Training and validation samples become the official training list, in the order that the loader parts again.

    classes: that the layout stores. Finer ones are merged by the official table.
    """

    needs: ClassVar[tuple[str, ...]] = ("segmentation", "depth", "normals")
    classes: ClassVar[int] = 40

    def check(self, tasks: Mapping[str, Task]) -> None:
        task = tasks["segmentation"]
        assert isinstance(task, SegmentationTask)
        fit = [count for count in (13, 40) if count >= self.classes]
        if task.classes not in [NAMES[count] for count in fit]:
            raise UserError(
                f"--layout: stores NYU's {' or '.join(map(str, fit))} classes, not these {len(task.classes)}; "
                f"if the dataset has them, say data.classes={fit[-1]}"
            )

    def write(self, parts: Mapping[Part, Samples], tasks: Mapping[str, Task], folder: Path, progress: Progress) -> None:
        names = {kind: task.name for kind, task in tasks.items()}
        stored, total, done = tasks["segmentation"].channels, sum(map(len, parts.values())), 0

        def make(part: Part, row: int) -> Sample:
            nonlocal done
            done += 1
            progress(done, total, "exporting")
            sample = canonical(parts[part], row, names)
            return sample if stored == self.classes else _coarser(sample, stored, self.classes)

        rows: dict[Part, list[tuple[Part, int]]] = {
            part: [(part, row) for row in range(len(samples))] for part, samples in parts.items()
        }
        self.put(folder, Listed(merge(rows["train"], rows["validation"]), make), Listed(rows["test"], make))

    @abstractmethod
    def put(self, folder: Path, train: Listed, test: Listed) -> None:
        """The files of the official lists."""


class MtanExporter(NyuExporter):
    """The arrays of MTAN, float32; labels int64."""

    classes: ClassVar[int] = 13

    def put(self, folder: Path, train: Listed, test: Listed) -> None:
        write_mtan(folder / "train", train)
        write_mtan(folder / "val", test)


class AdaShareExporter(NyuExporter):
    """The images of AdaShare; normals in 8 bits."""

    def put(self, folder: Path, train: Listed, test: Listed) -> None:
        write_adashare(folder, train, test)


class NyudMtExporter(NyuExporter):
    """NYUD_MT in its form with arrays; images become JPEG, edges 0 or 1."""

    needs: ClassVar[tuple[str, ...]] = ("segmentation", "depth", "normals", "edges")

    def put(self, folder: Path, train: Listed, test: Listed) -> None:
        write_nyud_mt(folder, train, test)


class OfficialExporter(NyuExporter):
    """The MATLAB file, its split and its class map. It stores neither normals nor edges: they are derived again."""

    needs: ClassVar[tuple[str, ...]] = ("segmentation", "depth")

    def put(self, folder: Path, train: Listed, test: Listed) -> None:
        write_official(folder, train, test)


EXPORTERS: Final[Mapping[str, type[Exporter]]] = {
    "mtan": MtanExporter,
    "adashare": AdaShareExporter,
    "nyud_mt": NyudMtExporter,
    "mat": OfficialExporter,
}


def canonical(samples: Samples, row: int, names: Mapping[str, str]) -> Sample:
    """One sample of a batch as arrays; what is not valid becomes void, or zero. names: of tasks, by kind."""
    batch = samples.batch(torch.tensor([row]))
    known = {kind: (batch.target[name][0], batch.valid[name][0]) for kind, name in names.items()}

    def plain(kind: str, otherwise: int) -> np.ndarray:
        target, valid = known[kind]
        return _numpy(torch.where(valid, target, torch.full_like(target, otherwise)))

    return Sample(
        image=np.moveaxis(_numpy(batch.image[0] * 255).round().clip(0, 255).astype(np.uint8), 0, 2),
        labels=plain("segmentation", VOID).astype(np.uint8),
        depth=plain("depth", 0),
        normals=np.moveaxis(plain("normals", 0), 0, 2) if "normals" in names else None,
        edges=plain("edges", 0).astype(np.float32) if "edges" in names else None,
    )


def _coarser(sample: Sample, stored: int, wanted: int) -> Sample:
    return Sample(sample.image, relabel(sample.labels, stored, wanted), sample.depth, sample.normals, sample.edges)


def _numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.numpy()
    return array
