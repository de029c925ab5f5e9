"""Puts records among published ones: the same run of another machine beside the first, and nothing over another."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock

from msbench.board.inert import line
from msbench.board.load import RECORD, Run, read_run
from msbench.board.verified import VERIFIED
from msbench.errors import UserError
from msbench.publishing.checks import objections
from msbench.publishing.published import FILES, MANIFEST, file_objections, manifest_of, names_of

Kind = Literal["added", "another machine", "verified", "unchanged", "conflict", "refused"]
BAD: Final = ("conflict", "refused")
SHOWN_DIFFERENCES: Final = 3


@dataclass(frozen=True)
class Shelved:
    """What became of one record. name: its run_id, or the folder of one that could not be read."""

    name: str
    kind: Kind
    why: str = ""

    def __str__(self) -> str:
        return line(f"{self.kind}: {self.name}" + (f": {self.why}" if self.why else ""))


def shelve(folders: Iterable[Path], records: Path, *, pictures: bool = True) -> list[Shelved]:
    """Put the runs in `folders` into the folder of published records, each whole or not at all.

    pictures: with those of predictions, where the data may be passed on.
    """
    records.mkdir(parents=True, exist_ok=True)
    with FileLock(records.with_name(f".{records.name}.lock")):
        return [_shelve(folder, records, pictures) for folder in folders]


def _shelve(folder: Path, records: Path, pictures: bool) -> Shelved:
    try:
        run = read_run(folder)
    except UserError as error:
        return Shelved(folder.name, "refused", str(error).removeprefix(f"{folder / RECORD}: "))
    files = {name: folder / name for name in wanted(run, pictures) if (folder / name).exists()}
    found = [*objections(run), *(wrong for path in files.values() for wrong in file_objections(path))]
    if found:
        return Shelved(run.run_id, "refused", "; ".join(found[:SHOWN_DIFFERENCES]))
    own, other = (records / name for name in names_of(run))
    for place in (own, other):
        if place.exists():
            known = _among(place)
            if known is None:
                return Shelved(run.run_id, "conflict", f"{place} cannot be read; remove it")
            if known.machine == run.machine:
                return _meet(run, files, known)
    place = other if own.exists() else own
    _write(run, files, place)
    return Shelved(run.run_id, "another machine" if place is other else "added", run.machine.name)


def wanted(run: Run, pictures: bool) -> list[str]:
    """Names of the files that are published: no pictures of data that may not be passed on."""
    pictures = pictures and run.record.dataset is not None and run.record.dataset.synthetic
    names = [name for name in FILES if name != "samples.png" or pictures]
    return names if run.verified else [name for name in names if name != VERIFIED]


def _among(place: Path) -> Run | None:
    try:
        return read_run(place)
    except UserError:
        return None


def _meet(run: Run, files: Mapping[str, Path], known: Run) -> Shelved:
    """The same run of the same machine is there: the same record stays, another one is a conflict."""
    different = list(differences(known.record.model_dump(), run.record.model_dump()))
    if different:
        shown = "; ".join(different[:SHOWN_DIFFERENCES])
        more = f" and {len(different) - SHOWN_DIFFERENCES} more" if len(different) > SHOWN_DIFFERENCES else ""
        return Shelved(run.run_id, "conflict", f"there with other figures: {shown}{more}; remove one of the two")
    if run.verified and not known.verified:
        _write(run, files, known.folder)
        return Shelved(run.run_id, "verified")
    return Shelved(run.run_id, "unchanged")


def differences(first: Any, second: Any, where: str = "") -> Iterable[str]:
    """Each value in which two records differ, with its place and both values."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            place = f"{where}.{key}" if where else str(key)
            yield from differences(first.get(key), second.get(key), place)
    elif first != second:
        yield f"{where} {str(first)[:40]} against {str(second)[:40]}"


def _write(run: Run, files: Mapping[str, Path], place: Path) -> None:
    """Write a published folder aside and rename it into place."""
    aside = place.with_name(f".{place.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, path in files.items():
        shutil.copyfile(path, aside / name)
    copied = {name: aside / name for name in files}
    (aside / MANIFEST).write_text(manifest_of(run, copied), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
