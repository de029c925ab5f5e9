"""Which samples a folder of images and labels holds, and every way in which it can be laid out wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msbench.api import Part, UserError
from msbench_plugins.datasets.pixels import shuffled

DENSE: Final = ("segmentation", "depth", "normals", "edges")
"""Folders beside `images`, each of which is a task of this name."""

PARTS: Final[Mapping[str, Part]] = {"train": "train", "val": "validation", "test": "test"}
TABLE: Final = "attributes.csv"
CLASSES: Final = "classes.txt"

SHARE: Final = 0.15
"""Share of the training samples that becomes validation, and test, where there is no folder for it."""

SEED: Final = 0
"""Of the choice which samples these are."""

SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "images": (".png", ".jpg", ".jpeg", ".npy"),
    "segmentation": (".png", ".npy"),
    "depth": (".png", ".npy"),
    "normals": (".png", ".npy"),
    "edges": (".png", ".jpg", ".jpeg", ".npy"),
}
"""Labels may not be JPEG: it changes ids and distances. Edge strengths survive it."""

_OTHER_NAMES: Final = {"validation": "val", "valid": "val", "dev": "val", "training": "train", "testing": "test"}


@dataclass(frozen=True)
class Sample:
    """name: of its files, without their ending. files: the image, then one for each dense task. table: or None."""

    name: str
    files: tuple[Path, ...]
    table: Path | None


def dense_tasks(root: Path) -> tuple[str, ...]:
    """The dense tasks of the training folder, in canonical order; UserError where there is no such folder."""
    train = root / "train"
    if not train.is_dir():
        flat = (root / "images").is_dir()
        remedy = f"move {root}/images and what is beside it into it" if flat else "put images and labels into it"
        raise UserError(f"{train}: folder is missing; {remedy} (train/images/NAME.png, train/segmentation/NAME.png, …)")
    for child in sorted(root.iterdir()):
        if child.is_dir() and child.name.lower() in _OTHER_NAMES:
            raise UserError(f"{child}: rename it to {_OTHER_NAMES[child.name.lower()]}, so that it is found")
    return tuple(task for task in DENSE if (train / task).is_dir())


def unread(root: Path) -> list[str]:
    """Folders of the training part that are no task."""
    return sorted(child.name for child in (root / "train").iterdir() if child.is_dir() and child.name not in SUFFIXES)


def tables(root: Path) -> dict[str, Path]:
    """The table of attributes of each part that is there: its own, or the one of all parts."""
    own = {name: root / name / TABLE for name in PARTS if (root / name / TABLE).is_file()}
    if (root / TABLE).is_file():
        if own:
            raise UserError(
                f"{root / TABLE} and {next(iter(own.values()))}: keep one table for all, or one in each part"
            )
        return {name: root / TABLE for name in PARTS if (root / name).is_dir()}
    lacking = [name for name in PARTS if own and (root / name).is_dir() and name not in own]
    if lacking:
        raise UserError(f"{root / lacking[0] / TABLE}: missing, while other parts have one; write it too")
    return own


def samples(root: Path, dense: Sequence[str]) -> dict[Part, list[Sample]]:
    """Every part's samples with the files of these dense tasks, sorted by name; missing parts carved from train."""
    csv = tables(root)
    found = {
        part: _samples_of(root / name, dense, csv.get(name)) for name, part in PARTS.items() if (root / name).is_dir()
    }
    return carve(found, root)


def carve(found: dict[Part, list[Sample]], root: Path) -> dict[Part, list[Sample]]:
    """Give the parts that have no folder their share of the training samples, chosen by a seeded hash of the names.

    The choice depends on nothing but the names: not on the machine, and hardly on images that are added later.
    """
    missing = [part for part in PARTS.values() if part not in found]
    total = len(found["train"])
    size = max(1, round(SHARE * total))
    if total <= size * len(missing):
        raise UserError(
            f"{root / 'train'}: {total} samples are too few to carve {' and '.join(missing)} from; add more"
        )
    by_name = {sample.name: sample for sample in found["train"]}
    order = shuffled(by_name, f"folder {SEED}")
    parts = dict(found)
    for part in missing:
        parts[part], order = [by_name[name] for name in sorted(order[:size])], order[size:]
    parts["train"] = [by_name[name] for name in sorted(order)]
    return parts


def carved(root: Path) -> list[Part]:
    """The parts that have no folder of their own."""
    return [part for name, part in PARTS.items() if not (root / name).is_dir()]


def _samples_of(folder: Path, dense: Sequence[str], table: Path | None) -> list[Sample]:
    images = _files(folder, "images")
    labels = {task: _files(folder, task) for task in dense}
    for task, files in labels.items():
        lacking, extra = sorted(images.keys() - files.keys()), sorted(files.keys() - images.keys())
        if lacking:
            raise UserError(
                f"{folder / task}: no label for {images[lacking[0]].name} ({len(lacking)} of {len(images)} images lack "
                f"one); a label has the name of its image, here {lacking[0]}.png"
            )
        if extra:
            raise UserError(
                f"{files[extra[0]]}: no image of this name in {folder / 'images'} ({len(extra)} such); names must match"
            )
    return [
        Sample(name, (file, *(files[name] for files in labels.values())), table)
        for name, file in sorted(images.items())
    ]


def _files(folder: Path, kind: str) -> dict[str, Path]:
    """The files of one kind by name without ending."""
    if not (folder / kind).is_dir():
        others = ", ".join(sorted(child.name for child in folder.iterdir() if child.is_dir())) or "no folders"
        raise UserError(
            f"{folder / kind}: folder is missing ({folder.name} has {others}); every part needs the same ones"
        )
    found: dict[str, Path] = {}
    for file in sorted((folder / kind).iterdir()):
        if file.name.startswith(".") or file.name == "Thumbs.db":
            continue
        if file.suffix.lower() not in SUFFIXES[kind]:
            raise UserError(f"{file}: {kind} are read from {', '.join(SUFFIXES[kind])}; convert it or move it away")
        if file.stem in found:
            raise UserError(f"{file}: {found[file.stem].name} has the same name; keep one of them")
        found[file.stem] = file
    if not found:
        raise UserError(f"{folder / kind}: no files in it; expected {', '.join(SUFFIXES[kind])}")
    return found


def classes(root: Path) -> tuple[str, ...]:
    """The class names of `classes.txt`, in the order of their ids."""
    file = root / CLASSES
    if not file.is_file():
        raise UserError(f"{file}: missing; write one class name a line, the first is that of label id 0")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); save it as UTF-8 text") from error
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    if not 2 <= len(names) <= 255 or "" in names or len(set(names)) < len(names):
        raise UserError(f"{file}: expected 2 to 255 different class names, one a line, without empty lines")
    return names
