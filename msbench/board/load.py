"""Reads run folders. A folder that cannot be read is reported beside the good ones and stops nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msbench.errors import UserError
from msbench.runs.record import Record, read_record

FINISHED: Final = frozenset({"ok", "budget_missed", "inexact"})
"""Statuses of runs that reached the end and have metrics; whether they may be ranked is another matter."""

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")


@dataclass(frozen=True, eq=False)
class Run:
    """One readable run: its record and the folder that holds the other files."""

    record: Record
    folder: Path

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @property
    def finished(self) -> bool:
        """Whether it reached the end and was evaluated on the test part."""
        return self.record.status in FINISHED and bool(self.record.metrics)


@dataclass(frozen=True)
class Unreadable:
    """A run folder whose record is not valid, and why."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """Everything found below a folder of runs, ordered by folder name."""

    runs: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...]


def load(folder: Path) -> Loaded:
    """Read `folder/*/record.json`. Hidden folders (runs still being written) are passed over."""
    runs: dict[str, Run] = {}
    unreadable = []
    for path in sorted(folder.glob("*/record.json")):
        if path.parent.name.startswith("."):
            continue
        try:
            record = read_record(path)
            _check(record, runs)
        except UserError as error:
            unreadable.append(Unreadable(path.parent.name, str(error).removeprefix(f"{path}: ")))
        else:
            runs[record.run_id] = Run(record, path.parent)
    return Loaded(tuple(runs.values()), tuple(unreadable))


def _check(record: Record, known: Mapping[str, Run]) -> None:
    """What the schema alone does not promise, and pages rely on: a usable, unique name and finite numbers."""
    if not _FILE_NAME.fullmatch(record.run_id):
        raise UserError(f"run_id {record.run_id[:80]!r} cannot be a file name; remove its folder and run again")
    if record.run_id in known:
        other = known[record.run_id].folder.name
        raise UserError(f"run_id {record.run_id!r} is also in folder {other!r}; keep one of the two")
    where = _not_finite(record.model_dump(), "record")
    if where:
        raise UserError(f"{where} is not a finite number; remove its folder and run again")


def _not_finite(value: Any, where: str) -> str:
    """Path of the first NaN or infinity inside `value`, or an empty string."""
    if isinstance(value, float) and not math.isfinite(value):
        return where
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = tuple(value.items())
    elif isinstance(value, list | tuple):
        items = tuple(enumerate(value))
    return next((found for key, item in items if (found := _not_finite(item, f"{where}.{key}"))), "")
