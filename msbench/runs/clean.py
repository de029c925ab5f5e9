"""What of a store can go: leftovers, starts that nothing can use, and what is asked for. Nothing that others need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msbench.errors import UserError
from msbench.records.record import Record, read_record
from msbench.records.strict_json import JsonError, read_json
from msbench.runs.identity.sources import host_digest
from msbench.runs.starts import ABOUT
from msbench.selection import MASK
from msbench.store.locks import FOLDER as LOCKS
from msbench.store.locks import Locks
from msbench.store.store import CHECKPOINT, RECORD, REPLACED, REUSED, TRAINED, Store

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Asked:
    """What may go beside leftovers and starts of other sources, and how old it must be.

    failed: runs without a result. superseded: runs of which the store has a later one of the same configuration, made
    with other sources, packages or data. starts: every shared start. weights: of runs whose weights nothing needs.
    """

    failed: bool = False
    superseded: bool = False
    starts: bool = False
    weights: bool = False
    older_than: float = 0.0
    """Days."""


@dataclass(frozen=True)
class Removal:
    """A file or folder of the store that goes, and why."""

    path: Path
    why: str
    bytes: int


@dataclass(frozen=True)
class Cleaning:
    """removals: what goes. kept: what would have gone, and why it stays. unreadable: runs that were left alone."""

    removals: tuple[Removal, ...]
    kept: Mapping[str, str]
    unreadable: tuple[str, ...]

    @property
    def bytes(self) -> int:
        return sum(removal.bytes for removal in self.removals)


@contextmanager
def alone(store: Store) -> Iterator[Locks]:
    """The store while no other msbench makes anything in it; UserError names the process that does."""
    try:
        with Locks(store.root) as locks:
            names = sorted(path.name for path in (store.root / LOCKS).iterdir() if path.is_dir())
            for name in names:
                owner = locks.holder(name)
                if owner is not None:
                    raise UserError(f"--results {store.root}: in use by {owner}, which makes {name}; wait for its end")
            yield locks
    except OSError as error:
        raise UserError(f"--results {store.root}: {error.strerror}; it cannot be cleaned") from error


def what_to_clean(store: Store, asked: Asked, published: Collection[str], now: datetime | None = None) -> Cleaning:
    """What would go. published: run_ids that must stay, with all that they rest on."""
    limit = (now or datetime.now(UTC)).timestamp() - asked.older_than * 86400
    records, unreadable = _records(store)
    wanted = {
        run_id: why
        for run_id, why in _unwanted(records, asked).items()
        if datetime.fromisoformat(records[run_id].created).timestamp() <= limit
    }
    needed = _needed(records, set(wanted), published)
    gone = {run_id: why for run_id, why in wanted.items() if run_id not in needed}
    removals = [_removal(store.folder(run_id), why) for run_id, why in gone.items()]
    if asked.weights:
        removals += list(_weights(store, records, set(gone), published, limit))
    removals += [*_starts(store, asked.starts, limit), *_leftovers(store, asked.older_than > 0, limit)]
    kept = {run_id: needed[run_id] for run_id in wanted if run_id in needed}
    return Cleaning(tuple(removals), kept, tuple(unreadable))


def remove(cleaning: Cleaning, locks: Locks) -> None:
    """Do it, but for runs that another msbench has begun meanwhile. Of a link, what it leads to stays."""
    for removal in cleaning.removals:
        path = removal.path
        if path.parent.name in ("runs", "staging") and locks.acquire(path.name) is not None:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def published_runs(folder: Path) -> set[str]:
    """The run_ids of published records; UserError for one that cannot be read, as nobody knows what it needs."""
    if not folder.is_dir():
        raise UserError(f"--published {folder}: no such folder")
    return {read_record(path).run_id for path in sorted(folder.glob("*/record.json"))}


def _records(store: Store) -> tuple[dict[str, Record], list[str]]:
    found, unreadable = {}, []
    for run_id in store.ids():
        try:
            record = store.find(run_id)
        except UserError:
            record = None
        if record is None or record.run_id != run_id or store.folder(run_id).is_symlink() or not _dated(record):
            unreadable.append(run_id)
        else:
            found[run_id] = record
    return found, unreadable


def _dated(record: Record) -> bool:
    try:
        return datetime.fromisoformat(record.created).tzinfo is not None
    except ValueError:
        return False


def _unwanted(records: Mapping[str, Record], asked: Asked) -> dict[str, str]:
    """Runs that were asked to go, with the reason."""
    found = {}
    if asked.superseded:
        latest: dict[str, Record] = {}
        for record in sorted(records.values(), key=lambda record: (record.created, record.run_id)):
            if record.status in REUSED:
                earlier = latest.get(_configuration(record))
                if earlier is not None:
                    found[earlier.run_id] = f"superseded by {record.run_id}"
                latest[_configuration(record)] = record
    if asked.failed:
        found |= {run_id: f"ended as {r.status}" for run_id, r in records.items() if r.status not in REUSED}
    return found


def _configuration(record: Record) -> str:
    """What was asked for, apart from what only says where a run runs and which runs it was made from."""
    config = {name: value for name, value in record.config.items() if name not in ("engine", "preset")}
    if record.meta_test is not None:
        config["meta_test"] = {"mode": record.meta_test.mode, "task": record.meta_test.task, "of": _name(record)}
    return json.dumps([_name(record), config], sort_keys=True)


def _name(record: Record) -> str:
    return record.run_id.rpartition("-")[0]


def _needed(records: Mapping[str, Record], wanted: set[str], published: Collection[str]) -> dict[str, str]:
    """Runs that must stay, each with who needs it: what is published, and all that a run which stays rests on."""
    needed = dict.fromkeys(published, "published")
    queue = [run_id for run_id in records if run_id not in wanted] + list(published)
    while queue:
        run_id = queue.pop()
        if run_id not in records:
            continue
        for other in (*_results_of(records[run_id]), *_weights_of(records[run_id])):
            if other not in needed:
                needed[other] = f"needed by {run_id}"
                queue.append(other)
    return needed


def _results_of(record: Record) -> Iterator[str]:
    """Runs whose record this one's figures rest on."""
    if record.delta is not None:
        yield record.delta.dense_run
    if record.budget is not None and record.budget.reference:
        yield record.budget.reference


def _weights_of(record: Record) -> Iterator[str]:
    """Runs whose weights or mask this one started from."""
    if record.meta_test is not None:
        yield record.meta_test.source
    for value in record.sparsifier.params.values():
        if isinstance(value, str) and value.startswith(MASK):
            yield value.removeprefix(MASK)


def _weights(
    store: Store, records: Mapping[str, Record], gone: set[str], published: Collection[str], limit: float
) -> Iterator[Removal]:
    """Weights of runs that stay, where no other run starts from them and nothing published is verified by them."""
    kept = [record for run_id, record in records.items() if run_id not in gone]
    used = {*published, *(source for record in kept for source in _weights_of(record))}
    for record in kept:
        path = store.folder(record.run_id) / WEIGHTS
        if record.run_id not in used and path.is_file() and datetime.fromisoformat(record.created).timestamp() <= limit:
            yield _removal(path, "weights that nothing needs")


def _starts(store: Store, every: bool, limit: float) -> Iterator[Removal]:
    """Shared starts; unless all are asked for, those that were made with other sources of msbench or are damaged."""
    host = host_digest()
    for folder in sorted((store.root / "starts").glob("*/*")):
        why = "shared start"
        if not every:
            try:
                found = read_json(folder / ABOUT)["key"]["host"]
            except (OSError, JsonError, KeyError, TypeError):
                found = None
            if found == host:
                continue
            why = "shared start of other sources" if found is not None else "damaged shared start"
        if folder.lstat().st_mtime <= limit:
            yield _removal(folder, why)


def _leftovers(store: Store, resumable: bool, limit: float) -> Iterator[Removal]:
    """What is in `staging/` though nobody makes it. What a command could go on from stays, unless an age was given."""
    for path in sorted((store.root / "staging").glob("[!.]*")):
        if path.lstat().st_mtime > limit or (path / RECORD).is_file():
            continue  # with its final record it is whole: the next command puts it into place
        if path.name.endswith(REPLACED) and not store.folder(path.name.removesuffix(REPLACED)).is_dir():
            continue
        going_on = (path / TRAINED).is_file() or (path / CHECKPOINT).is_dir()
        if not going_on or resumable:
            yield _removal(path, "unfinished run" if going_on else "leftover")


def _removal(path: Path, why: str) -> Removal:
    inside = [path] if path.is_symlink() or not path.is_dir() else path.rglob("*")
    return Removal(path, why, sum(file.lstat().st_size for file in inside if file.is_symlink() or file.is_file()))
