"""Reads run folders. A folder that cannot be read is reported beside the good ones and stops nothing."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from msbench.board.inert import line
from msbench.board.reading.machine import Machine
from msbench.board.reading.run_files import stamps
from msbench.board.reading.verified import VERIFIED, Verified, read_verified
from msbench.errors import UserError
from msbench.records.record import SCHEMA_VERSION, Record, parse_record
from msbench.records.strict_json import LARGEST, JsonError, parse_json

FINISHED: Final = frozenset({"ok", "budget_missed", "inexact"})
"""Statuses of runs that reached the end and have metrics; whether they may be ranked is another matter."""
RECORD: Final = "record.json"
MAX_DEPTH: Final = 24
"""Levels of a record's open parts: pages flatten them, so their depth must not be a stranger's choice."""
MAX_TEXT: Final = 20_000
"""Characters of one text in a record: more than any reason, command or citation needs."""

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")


@dataclass(frozen=True, eq=False)
class Run:
    """One readable run: its record and the folder that holds the other files.

    sha256: of the record's file; empty where the record comes from none. verified: what `msbench results verify` found
    for this very record. elsewhere: records of the same run from other machines.
    """

    record: Record
    folder: Path
    sha256: str = ""
    verified: Verified | None = None
    elsewhere: tuple[Run, ...] = ()

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @cached_property
    def digest(self) -> str:
        """Digest of all that the record says, here and elsewhere, and of whether it was verified."""
        own = self.sha256 or hashlib.sha256(self.record.model_dump_json().encode()).hexdigest()
        parts = [own, self.verified and self.verified.model_dump_json(), *(run.digest for run in self.elsewhere)]
        return own if parts == [own, None] else hashlib.sha256(repr(parts).encode()).hexdigest()

    @cached_property
    def files(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change (ns) of every file in its folder; links are none of its files."""
        return stamps(self.folder)

    @property
    def machine(self) -> Machine:
        """The hardware that made it."""
        return Machine.of(self.record)

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


def load(folder: Path, known: Container[str] = frozenset()) -> Loaded:
    """Read `folder/*/record.json`. Hidden folders (runs still being written) are passed over.

    Records of one run from several machines make one `Run`. known: SHA-256 of record files that were found valid
    before; of these only the schema is checked again.
    """
    found: dict[str, list[Run]] = {}
    unreadable = []
    for path in _run_folders(folder):
        try:
            run = read_run(path, known)
            _check_unique(run, found.get(run.run_id.casefold(), ()))
        except UserError as error:
            unreadable.append(Unreadable(line(path.name), line(str(error).removeprefix(f"{path / RECORD}: "))))
        else:
            found.setdefault(run.run_id.casefold(), []).append(run)
    return Loaded(tuple(_one(runs) for runs in found.values()), tuple(unreadable))


def _run_folders(folder: Path) -> list[Path]:
    """Folders, and links to folders, that have a record, by name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    return [folder / name for name in names if os.path.lexists(f"{folder}/{name}/{RECORD}")]


def read_run(folder: Path, known: Container[str] = frozenset()) -> Run:
    """The run in a folder. Raises UserError where its record is not valid, or something there is a link."""
    path = f"{folder}/{RECORD}"  # a text: thousands of paths take longer to make than to open
    try:
        if stat.S_ISLNK(os.lstat(folder).st_mode) or not stat.S_ISREG(os.lstat(path).st_mode):
            raise UserError(f"{path}: is a link, or no file; copy the run itself there")
        raw = _raw(path)
        sha256 = hashlib.sha256(raw).hexdigest()
        record = _known(raw) if sha256 in known else None
        if record is None:
            record = parse_record(parse_json(raw), path)
            _check(record)
        run = Run(record, folder, sha256)
        named = any(name == VERIFIED for name, _, _ in run.files)
    except (OSError, JsonError) as error:
        words = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: not a readable record ({words}); remove its folder and run again") from error
    return replace(run, verified=read_verified(folder, run.run_id, sha256)) if named else run


def _raw(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise JsonError(f"larger than {LARGEST:,} bytes")
        return file.readall()


def _known(raw: bytes) -> Record | None:
    """A record that was valid before, by the quick parser; None where it is not, or of an older schema."""
    try:
        record = Record.model_validate_json(raw)
    except ValidationError:
        return None
    return record if record.schema_version == SCHEMA_VERSION else None


def _check(record: Record) -> None:
    """What the schema alone does not promise, and pages rely on: a usable name and finite numbers."""
    if not _FILE_NAME.fullmatch(record.run_id):
        raise UserError(f"run_id {record.run_id[:80]!r} cannot be a file name; remove its folder and run again")
    for name, run_id in _others(record).items():
        if not _FILE_NAME.fullmatch(run_id):
            raise UserError(f"{name} {run_id[:80]!r} cannot be a run's name; remove its folder and run again")
    if place := _misshapen(record):
        raise UserError(f"{place}; remove its folder and run again")
    for name, part in free_parts(record).items():
        if _deeper(part, MAX_DEPTH):
            raise UserError(f"{name} is nested more than {MAX_DEPTH} levels deep; remove its folder and run again")
    values = record.model_dump()
    try:
        size = len(json.dumps(values, allow_nan=False, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise UserError("holds half of a character (a lone surrogate); remove its folder and run again") from None
    except ValueError:
        where = _not_finite(values, "record") or "record"
        raise UserError(f"{where} is not a finite number; remove its folder and run again") from None
    where = _too_long(values, "record") if size > MAX_TEXT else ""
    if where:
        raise UserError(f"{where[:200]} has more than {MAX_TEXT:,} characters; remove its folder and run again")


def _misshapen(record: Record) -> str:
    """The first list that has not as many numbers as pages take from it, and how many it must have."""
    if record.dataset and len(record.dataset.image) != 3:
        return "dataset.image needs 3 numbers: channels, height, width"
    channels = record.sparsity.channels if record.sparsity else {}
    wrong = next((layer for layer, counts in channels.items() if len(counts) != 2), None)
    return "" if wrong is None else f"sparsity.channels.{wrong[:80]} needs 2 numbers: channels kept, and of how many"


def _others(record: Record) -> dict[str, str]:
    """The runs that a record names, which its pages link to, by their place."""
    found = {
        "delta.dense_run": record.delta and record.delta.dense_run,
        "budget.reference": record.budget and record.budget.reference,
        "meta_test.source": record.meta_test and record.meta_test.source,
    }
    return {name: run_id for name, run_id in found.items() if run_id}


def free_parts(record: Record) -> dict[str, Mapping[str, Any]]:
    """The parts of a record whose keys and depth the schema leaves open, by their place."""
    parts: dict[str, Mapping[str, Any]] = {
        "sparsifier.params": record.sparsifier.params,
        "environment": record.environment,
        "config": record.config,
    }
    if record.dataset:
        parts["dataset.params"] = record.dataset.params
    if record.model:
        parts["model.params"] = record.model.params
    return parts


def _check_unique(run: Run, others: Sequence[Run]) -> None:
    """Records of one run may come from several machines, one each; their names differ in more than case."""
    for other in others:
        if other.run_id != run.run_id:
            raise UserError(f"run_id {run.run_id!r} differs only in case from folder {other.folder.name!r}")
        if other.machine == run.machine:
            raise UserError(f"run_id {run.run_id!r} is also in folder {other.folder.name!r}; keep one of the two")


def _one(runs: Sequence[Run]) -> Run:
    """The record in the folder of the run's own name, else the first, with the others beside it."""
    main = next((run for run in runs if run.folder.name == run.run_id), runs[0])
    return replace(main, elsewhere=tuple(run for run in runs if run is not main)) if len(runs) > 1 else main


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested more than `levels` deep."""
    if not isinstance(value, Mapping | list):
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in items)


def _too_long(value: Any, where: str) -> str:
    """Path of the first text or key longer than `MAX_TEXT` inside `value`, or an empty string."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return where
    if isinstance(value, Mapping):
        long = next((where for key in value if len(key) > MAX_TEXT), "")
        return long or next((found for key, item in value.items() if (found := _too_long(item, f"{where}.{key}"))), "")
    if isinstance(value, list):
        return next((found for i, item in enumerate(value) if (found := _too_long(item, f"{where}.{i}"))), "")
    return ""


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
