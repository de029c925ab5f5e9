"""Puts records among published ones: the same run of another machine beside the first, and nothing over another."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock

from msbench.board.inert import line
from msbench.board.reading.load import RECORD, Run, read_run
from msbench.board.reading.measured import MEASUREMENTS
from msbench.errors import UserError
from msbench.publishing.checks import measurement_objections, objections
from msbench.publishing.contents import Contents, contents, later_of, together
from msbench.publishing.published import MANIFEST, file_objections, manifest_of, names_of
from msbench.runs.places import placeless

Kind = Literal["added", "another machine", "verified", "updated", "unchanged", "conflict", "refused"]
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
    files = contents(run, pictures)
    found = [*objections(run), *(wrong for name in files for wrong in _file_objections(folder / name))]
    found += measurement_objections(later_of(run))
    if found:
        return Shelved(run.run_id, "refused", "; ".join(found[:SHOWN_DIFFERENCES]))
    own, other = (records / name for name in names_of(run))
    for place in (own, other):
        if place.exists():
            known = _among(place)
            if known is None:
                return Shelved(run.run_id, "conflict", f"{place} cannot be read; remove it")
            if known.machine == run.machine:
                return _meet(run, known, pictures)
    place = other if own.exists() else own
    _write(run, files, place)
    return Shelved(run.run_id, "another machine" if place is other else "added", run.machine.name)


def _file_objections(path: Path) -> list[str]:
    """Why a run's file may not be published; what publishing itself writes is not among them."""
    return [] if path.name == MEASUREMENTS else file_objections(path)


def _among(place: Path) -> Run | None:
    try:
        return read_run(place)
    except UserError:
        return None


def _meet(run: Run, known: Run, pictures: bool) -> Shelved:
    """The same run of the same machine is there: the same record stays, another one is a conflict."""
    ours, theirs = placeless(known.record), placeless(run.record)
    different = list(differences(ours.model_dump(), theirs.model_dump()))
    if different:
        shown = "; ".join(different[:SHOWN_DIFFERENCES])
        more = f" and {len(different) - SHOWN_DIFFERENCES} more" if len(different) > SHOWN_DIFFERENCES else ""
        return Shelved(run.run_id, "conflict", f"there with other figures: {shown}{more}; remove one of the two")
    newly_verified = run.verified is not None and known.verified is None
    measured_again = len(later_of(run, known)) > len(later_of(known))
    if not (newly_verified or measured_again or ours != known.record):
        return Shelved(run.run_id, "unchanged")
    _write(run, together(run, known, pictures), known.folder)
    if newly_verified:
        return Shelved(run.run_id, "verified")
    return Shelved(run.run_id, "updated", "measured again" if measured_again else "without the paths of its machine")


def differences(first: Any, second: Any, where: str = "") -> Iterable[str]:
    """Each value in which two records differ, with its place and both values."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            place = f"{where}.{key}" if where else str(key)
            yield from differences(first.get(key), second.get(key), place)
    elif first != second:
        yield f"{where} {str(first)[:40]} against {str(second)[:40]}"


def _write(run: Run, files: Contents, place: Path) -> None:
    """Write a published folder aside and rename it into place."""
    aside = place.with_name(f".{place.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (aside / name).write_bytes(content)
        else:
            shutil.copyfile(content, aside / name)
    copied = {name: aside / name for name in files}
    (aside / MANIFEST).write_text(manifest_of(run, copied), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
