"""Your own data: folders of images and labels, without writing any code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from msbench.api import (
    AttributeTask,
    Decoded,
    DepthTask,
    EdgesTask,
    Item,
    NormalsTask,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
    UserError,
)
from msbench_plugins.datasets.folder_parts import layout
from msbench_plugins.datasets.folder_parts.attributes import Table, read_columns, read_table
from msbench_plugins.datasets.folder_parts.files import read_depth, read_edges, read_image, read_labels, read_normals
from msbench_plugins.datasets.pixels import check_pixels


@dataclass
class Folder(PackedDataset):
    """Your own images and labels: the tasks are what lies in the folder.

    root: folder with train, and val and test where they are fixed; each with images and with any of segmentation,
    depth, normals and edges (files of the images' names, .png or .npy) and attributes.csv. Class names: classes.txt.
    targets: which of these tasks to read; all when empty. height, width: of images and targets in a batch.
    ignore: label id that means void, beside 255. depth_scale: steps of a 16-bit depth PNG in a metre.
    typical_depth: metres that an untrained network predicts. edges: soft (strengths) or binary.
    """

    name: ClassVar[str] = "folder"
    licence: ClassVar[str] = "yours"
    source: ClassVar[str] = "a folder of yours: train/images/NAME.png, train/segmentation/NAME.png, … and classes.txt"
    root: str = ""
    targets: list[str] = field(default_factory=list)
    height: int = 90
    width: int = 120
    ignore: int = 255
    depth_scale: float = 1000.0
    typical_depth: float = 2.5
    edges: Literal["soft", "binary"] = "soft"

    def __post_init__(self) -> None:
        check_pixels(self.height, self.width)
        for name in ("depth_scale", "typical_depth"):
            if not getattr(self, name) > 0:
                raise UserError(f"data.{name}: {getattr(self, name)!r} is not above 0")
        self._tables: dict[Path, Table] = {}
        self._found: Mapping[str, Any] = {}

    def tasks(self) -> tuple[Task, ...]:
        found = self.described()
        makers: Mapping[str, Task] = {
            "depth": DepthTask(typical=self.typical_depth),
            "normals": NormalsTask(),
            "edges": EdgesTask(binary=self.edges == "binary"),
        }
        segmentation = [SegmentationTask(classes=tuple(found["classes"]))] if found["classes"] else []
        dense = (makers[name] for name in found["dense"] if name != "segmentation")
        return (*segmentation, *dense, *(AttributeTask(name, name) for name in found["attributes"]))

    def describe(self, root: Path) -> Mapping[str, Any]:
        """The tasks that the folder holds, of those asked for, and the names of the classes."""
        dense, attributes = layout.dense_tasks(root), self._columns(root)
        known = (*dense, *attributes)
        if not known:
            expected = f"{', '.join(layout.DENSE)} or {layout.TABLE}"
            raise UserError(f"{root / 'train'}: nothing to learn beside the images; expected {expected}")
        for name in self.targets:
            if name not in known:
                raise UserError(f"data.targets: no {name!r} in {root / 'train'}; there are {', '.join(known)}")
        wanted = self.targets or known
        return {
            "dense": [name for name in dense if name in wanted],
            "classes": list(layout.classes(root)) if "segmentation" in dense and "segmentation" in wanted else [],
            "attributes": [name for name in attributes if name in wanted],
        }

    def facts(self, root: Path) -> Mapping[str, str]:
        found = {"tasks from": ", ".join([*layout.dense_tasks(root), *(layout.TABLE for _ in self._columns(root)[:1])])}
        carved = layout.carved(root)
        if carved:
            parts = " and ".join(carved)
            found["carved"] = f"{parts}: {layout.SHARE:.0%} of train each, by names (seed {layout.SEED})"
        others = layout.unread(root)
        return found | ({"not read": ", ".join(others)} if others else {})

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        self._found, self._tables = self.describe(root), {}
        attributes = bool(self._found["attributes"])
        parts = layout.samples(root, self._found["dense"])
        return {part: [self._item(sample, attributes) for sample in samples] for part, samples in parts.items()}

    def decode(self, item: Item) -> Decoded:
        found = self._found or self.describe(self.folder())
        image, original = read_image(item.files[0], (self.height, self.width))
        target: dict[str, Tensor] = {}
        valid: dict[str, Tensor] = {}
        for task, file in zip(found["dense"], item.files[1:], strict=False):
            target[task], valid[task] = self._dense(task, file, original, found["classes"])
        if found["attributes"]:
            answers = self._table(item.files[-1]).answers(item.name)
            for name in found["attributes"]:
                target[name] = torch.tensor(bool(answers[name]))
                valid[name] = torch.tensor(answers[name] is not None)
        return Decoded(image, target, valid)

    def _dense(self, task: str, file: Path, original: tuple[int, int], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
        size = (self.height, self.width)
        if task == "segmentation":
            return read_labels(file, size, original, classes, self.ignore)
        if task == "depth":
            return read_depth(file, size, original, self.depth_scale)
        if task == "normals":
            return read_normals(file, size, original)
        return read_edges(file, size, original, self.edges == "binary")

    def _item(self, sample: layout.Sample, attributes: bool) -> Item:
        if not attributes or sample.table is None:
            return Item(sample.name, sample.files)
        self._table(sample.table).answers(sample.name)
        return Item(sample.name, (*sample.files, sample.table))

    def _table(self, file: Path) -> Table:
        if file not in self._tables:
            self._tables[file] = read_table(file)
        return self._tables[file]

    def _columns(self, root: Path) -> tuple[str, ...]:
        """The attributes that all tables name."""
        tables = list(dict.fromkeys(layout.tables(root).values()))
        columns = [read_columns(file) for file in tables]
        for file, found in zip(tables, columns, strict=True):
            if found != columns[0]:
                raise UserError(f"{file}: columns {', '.join(found)}, but {tables[0]} has {', '.join(columns[0])}")
        return columns[0] if columns else ()
