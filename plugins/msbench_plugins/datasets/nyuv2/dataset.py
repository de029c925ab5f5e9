"""The dataset plugin: one layout found, checked, and read into the form that all layouts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from msbench.api import (
    Decoded,
    DepthTask,
    EdgesTask,
    Exporter,
    Item,
    PackedDataset,
    Part,
    SegmentationTask,
    Task,
    UserError,
)

from ..pixels import check_pixels
from .adashare import AdaShare
from .classes import NAMES, PALETTE, relabel
from .derive import camera, normals_from_depth
from .export import EXPORTERS
from .layout import Layout
from .mtan import Mtan
from .normals import DERIVED, StoredNormals
from .nyud_mt import NyudMt
from .official import Official
from .pngs import Pngs
from .split import SEED, carve

LAYOUTS: Final[dict[str, type[Layout]]] = {cls.name: cls for cls in (Mtan, AdaShare, NyudMt, Official, Pngs)}
PROTOCOLS: Final = {"none": None, "paper:adashare": AdaShare, "paper:astmt": NyudMt}
"""Papers whose reading of the files differs from what the files say, and the layout that it is about."""

_NORMALS: Final = ("auto", "given", "derived")


@dataclass
class NYUv2(PackedDataset):
    """1449 indoor images with a depth sensor: segmentation, depth, normals and edges, as far as the layout has them.

    root: the folder. layout: mtan, adashare, nyud_mt, mat or pngs; auto takes the one that is there.
    classes: 13 or 40. height, width: of images and targets in a batch; 0 for both: as stored.
    normals: given (stored), derived (from depth), or auto (given where there are any).
    protocol: none, paper:adashare (normals not decoded) or paper:astmt (background is a class).
    Parts are the official ones; a fifth of the official training images, always the same, is for validation.
    """

    name: ClassVar[str] = "nyuv2"
    paper: ClassVar[str] = (
        "Silberman, Hoiem, Kohli, Fergus: Indoor segmentation and support inference from RGBD images, ECCV 2012"
    )
    licence: ClassVar[str] = "none stated; research use only, not redistributed with msbench"
    source: ClassVar[str] = "NYU Depth v2 in one of these layouts: " + "; ".join(
        f"{name}: {layout.source}" for name, layout in LAYOUTS.items()
    )
    exports: ClassVar[Mapping[str, type[Exporter]]] = EXPORTERS
    version: ClassVar[int] = 1
    root: str = ""
    layout: str = "auto"
    classes: int = 13
    height: int = 0
    width: int = 0
    normals: str = "auto"
    protocol: str = "none"

    def __post_init__(self) -> None:
        for field, choices in (("layout", ("auto", *LAYOUTS)), ("normals", _NORMALS), ("protocol", PROTOCOLS)):
            value = getattr(self, field)
            if value not in choices:
                raise UserError(f"data.{field}: {value!r} is not one of {', '.join(choices)}")
        if isinstance(self.classes, bool) or self.classes not in (13, 40):
            raise UserError(f"data.classes: {self.classes!r} is neither 13 nor 40, NYU's two label sets")
        if (self.height, self.width) != (0, 0):
            check_pixels(self.height, self.width)
        if self.layout != "auto":
            self._check(LAYOUTS[self.layout])

    def tasks(self) -> tuple[Task, ...]:
        found = self._found() if self.root else {}
        layout = LAYOUTS.get(found.get("layout", self.layout))
        normals = found.get("normals", "derived" if self.normals == "derived" else "given")
        count = layout(self.protocol).labels() if layout and self.classes == 40 else self.classes
        tasks: tuple[Task, ...] = (
            SegmentationTask(classes=NAMES[count], palette=PALETTE[count]),
            DepthTask(typical=2.5),
            StoredNormals(derived=normals == "derived", decoded=self.protocol != "paper:adashare"),
        )
        return tasks if layout and not layout.edges else (*tasks, EdgesTask(binary=True))

    def default_tasks(self) -> tuple[str, ...]:
        return ("segmentation", "depth", "normals")

    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        split = self._layout(root).split(root)
        if len(split.train) < 2 or not split.test:
            raise UserError(
                f"{root}: {len(split.train)} training and {len(split.test)} test samples are too few; copy the data "
                "again"
            )
        train, validation = carve(split.train)
        return {"train": train, "validation": validation, "test": split.test}

    def decode(self, item: Item) -> Decoded:
        root = self.folder()
        layout = self._layout(root)
        sample = layout.read(item)
        if self._derives(layout, root):
            height, width = sample.depth.shape
            pinhole = camera(height, width, layout.cropped)
            sample = replace(sample, normals=normals_from_depth(sample.depth, pinhole))
        if self.classes == 13:
            sample = replace(sample, labels=relabel(sample.labels, layout.labels(), 13))
        if self.height:
            sample = sample.resized(self.height, self.width)
        return sample.decoded(tuple(task.name for task in self.tasks()))

    def describe(self, root: Path) -> Mapping[str, Any]:
        layout = self._layout(root)
        return {"layout": layout.name, "normals": "derived" if self._derives(layout, root) else "given"}

    def facts(self, root: Path) -> Mapping[str, str]:
        layout = self._layout(root)
        facts = {
            "layout": layout.name,
            "normals": DERIVED if self._derives(layout, root) else "given",
            "parts": f"official; validation: a fifth of the official training images (seed {SEED})",
        }
        if self.protocol != "none":
            facts["protocol"] = f"{self.protocol}: numbers compare with that paper's family alone"
        return facts | ({"note": layout.note} if layout.note else {})

    def _found(self) -> Mapping[str, Any]:
        """What `describe` says, or said when the folder was packed."""
        packed = self.packed_root()
        return packed.manifest.description if packed else self.describe(self.folder())

    def _layout(self, root: Path) -> Layout:
        layout = detect(root) if self.layout == "auto" else LAYOUTS[self.layout]
        self._check(layout)
        return layout(self.protocol)

    def _check(self, layout: type[Layout]) -> None:
        """Whether the other fields can be had with this layout."""
        wanted = PROTOCOLS[self.protocol]
        if wanted is not None and layout is not wanted:
            raise UserError(
                f"data.protocol={self.protocol}: is about the layout {wanted.name}, not {layout.name}; leave it out"
            )
        if self.classes > layout.classes:
            raise UserError(
                f"data.classes={self.classes}: the layout {layout.name} stores {layout.classes} classes; "
                f"say data.classes={layout.classes}, or use adashare, nyud_mt or mat"
            )
        if self.protocol == "paper:astmt" and self.classes != 40:
            raise UserError("data.protocol=paper:astmt: is about the 40 classes with background; add data.classes=40")
        if self.protocol == "paper:adashare" and self.normals == "derived":
            raise UserError("data.protocol=paper:adashare: is about stored normals; leave data.normals=derived out")

    def _derives(self, layout: Layout, root: Path) -> bool:
        given = layout.has_normals(root)
        if self.normals == "given" and not given:
            raise UserError(
                f"data.normals=given: {root} has no nyu_normals_gt folder; unpack nyu_normals_gt.zip "
                "(inf.ethz.ch/personal/ladickyl/nyu_normals_gt.zip) there, or say data.normals=derived"
            )
        return self.normals == "derived" or not given


def detect(root: Path) -> type[Layout]:
    """The one layout that lies at `root`; UserError where there is none, or more than one."""
    if not root.is_dir():
        raise UserError(f"data.root: {root} is a file; name the folder that it lies in")
    found = [layout for layout in LAYOUTS.values() if layout.found(root)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(layout.name for layout in found)
        raise UserError(f"{root}: holds several layouts ({names}); say which with data.layout={found[0].name}")
    looked = "; ".join(
        f"{layout.name}: {' or '.join(' + '.join(paths) for paths in layout.evidence)}, of {layout.source}"
        for layout in LAYOUTS.values()
    )
    raise UserError(f"{root}: no known layout of NYU Depth v2 there; looked for {looked}")
