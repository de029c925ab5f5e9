"""Why the store has a run, or has it not: which part of what decides its numbers is another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msbench.config import RunConfig
from msbench.data.dataset import Dataset
from msbench.records.record import Record
from msbench.runs.identity.data_changes import changed_data
from msbench.runs.identity.identity import read_identity
from msbench.runs.identity.provenance import MADE
from msbench.runs.plan import PlannedRun
from msbench.store.store import REUSED, Store

NAMED = 4
"""Modules of one part that are named; of more, how many."""


@dataclass(frozen=True)
class Reason:
    """run_id: what was asked for, today. stored: the run that it was compared with. changes: one a line, in words.

    status: of the stored run; one that is no result is tried again.
    """

    run_id: str
    stored: str | None
    status: str
    changes: tuple[str, ...]

    @property
    def hit(self) -> bool:
        """Whether the store answers without running anything."""
        return self.run_id == self.stored and self.status in REUSED

    def lines(self) -> list[str]:
        """What to tell a person."""
        if self.stored is None:
            return [f"{self.run_id}: not in the store, and no run of this name is."]
        if self.hit:
            return [f"{self.run_id}: in the store; nothing that decides its numbers has changed."]
        if self.run_id == self.stored:
            return [f"{self.run_id}: in the store, but it ended as {self.status}: it is tried again when asked for."]
        first = f"{self.run_id}: not in the store; against {self.stored}:"
        return [first, *(f"  {change}" for change in self.changes)]


def compare(store: Store, planned: PlannedRun, stored: str, dataset: Dataset | None = None) -> Reason:
    """A planned run against one stored run. dataset: that of the planned run, whose files are named where they changed.

    Raises UserError where the stored run's identity, or the data, cannot be read.
    """
    record = store.find(stored)
    assert record is not None
    if stored == planned.run_id:
        return Reason(planned.run_id, stored, record.status, ())
    then = _identity_of(store, record, planned)
    changes = list(_changes(then, planned))
    if dataset is not None and MADE in then and then["data"] != planned.identity["data"]:
        changes += changed_data(dataset, record.dataset, then[MADE]["at"])
    return Reason(planned.run_id, stored, record.status, tuple(changes))


def explain(store: Store, planned: PlannedRun, dataset: Dataset | None = None) -> Reason:
    """A planned run against itself in the store, else against the stored run of its name that differs in least."""
    if store.find(planned.run_id) is not None:
        return compare(store, planned, planned.run_id)
    name = planned.run_id.rpartition("-")[0]
    alike = [compare(store, planned, run_id) for run_id in store.ids() if run_id.rpartition("-")[0] == name]
    nearest = min(alike, key=lambda reason: len(reason.changes), default=Reason(planned.run_id, None, "", ()))
    return nearest if nearest.stored is None else compare(store, planned, nearest.stored, dataset)


def _identity_of(store: Store, record: Record, planned: PlannedRun) -> dict[str, Any]:
    """The stored identity; of a run that is older than this file, the parts that its record has."""
    found = read_identity(store.folder(record.run_id))
    if found is not None:
        return found
    config = {key: value for key, value in record.config.items() if key in planned.identity["config"]}
    location = set(record.config.get("data", {}).get("params", {})) - set(planned.identity["config"]["data"]["params"])
    if "data" in config:
        params = {key: value for key, value in config["data"]["params"].items() if key not in location}
        config["data"] = {**config["data"], "params": params}
    if "engine" in config:
        config["engine"] = {key: config["engine"].get(key) for key in planned.identity["config"]["engine"]}
    names = {"host": "host_sources", "sparsifier": "sparsifier_sources", "data": "data"}
    parts = {part: record.hashes[name] for part, name in names.items() if name in record.hashes}
    packages = record.environment.get("packages")
    return {
        "config": config,
        **parts,
        **({"packages": packages} if isinstance(packages, dict) else {}),
        **({"model": record.config["model"]} if "model" in record.config else {}),
    }


def _changes(then: Mapping[str, Any], planned: PlannedRun) -> list[str]:
    """What differs between a stored identity and today's, in words; parts that were not stored are passed over."""
    found, now = list(_own_changes(then, planned)), planned.identity
    if found:  # they change its dense run and its reference as well
        return found
    return [
        f"its {called} is another run: {then[part]} -> {now[part]}"
        for part, called in (("dense", "dense run"), ("reference", "reference"))
        if part in then and then[part] != now[part]
    ]


def _own_changes(then: Mapping[str, Any], planned: PlannedRun) -> Iterator[str]:
    now, config = planned.identity, planned.config
    for part in ("config", "model"):
        if part in then:
            prefix = "" if part == "config" else "model."
            yield from _values(f"configuration {prefix}", _flat(then[part]), _flat(now[part]))
    if "packages" in then:
        yield from _values("package ", then["packages"], now["packages"])
    if then.get("data", now["data"]) != now["data"]:
        yield f"data fingerprint of {config.data.name}: {then['data'][:12]} -> {now['data'][:12]}"
    for part, before, after in _digests(then, now, config):
        if before != after:
            yield _source(part, before, after, then, now)


def _digests(
    then: Mapping[str, Any], now: Mapping[str, Any], config: RunConfig
) -> Iterator[tuple[str, str | None, str | None]]:
    """Each part of the sources with its digest then and now; None where it was or is not there."""
    if "host" in then:
        yield "msbench", then["host"], now["host"]
    if "sparsifier" in then:
        yield f"sparsifier {config.sparsifier.base}", then["sparsifier"], now["sparsifier"]
    for group, prefix in (("parts", ""), ("criteria", "criterion ")):
        if group in then:
            for name in sorted({*then[group], *now[group]}):
                yield f"{prefix}{name}", then[group].get(name), now[group].get(name)


def _source(part: str, before: str | None, after: str | None, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """One part of the sources that is not what it was, with its modules where both sides know them."""
    if before is None:
        return f"{part} is new"
    if after is None:
        return f"{part} is gone"
    key = "sparsifier" if part.startswith("sparsifier ") else part
    files = [side.get(MADE, {}).get("files", {}).get(key) for side in (then, now)]
    if None in files:
        return f"source of {part} changed"
    old, new = files
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"source of {part} changed: {', '.join(names[:NAMED])}{more}"


def _values(prefix: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*then, *now}):
        if key not in then:
            yield f"{prefix}{key} is new: {now[key]}"
        elif key not in now:
            yield f"{prefix}{key} is gone: it was {then[key]}"
        elif then[key] != now[key]:
            yield f"{prefix}{key} {then[key]} -> {now[key]}"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested mappings by dotted keys."""
    if not isinstance(value, Mapping):
        return {path: list(value) if isinstance(value, tuple) else value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{path}.{key}" if path else str(key))
    return found
