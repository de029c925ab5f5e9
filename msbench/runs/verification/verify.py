"""`msbench results verify`: a run's record against its weights, mask and data; optionally against a repetition."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.records.record import Record, read_record
from msbench.records.strict_json import JsonError, read_json
from msbench.runs.finish import PROOF_TOLERANCE
from msbench.runs.identity.identity import read_identity
from msbench.runs.identity.provenance import identity_digest
from msbench.runs.places import restored
from msbench.runs.verification.checks import ELSEWHERE, FASTER, run_checks
from msbench.runs.verification.comparing import Check, record_differences
from msbench.runs.verification.reloaded import Reloaded, as_in_runs, config_of
from msbench.runs.verification.retrain import retrain
from msbench.store.store import Store, write_json

FILE = "verified.json"
WEIGHTS = "model.safetensors"


class Verified(BaseModel):
    """What one verification found. It holds for the record with this SHA-256 and for no other."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    run_id: str
    at: str
    """UTC, ISO 8601."""
    ok: bool
    """Whether no check failed."""
    machine: dict[str, Any]
    same_machine: bool
    """Whether it is one on which every figure must come out to the last digit."""
    tolerance: dict[str, float]
    """Relative for metrics, absolute for proofs; a factor for the measured speed-up."""
    record_sha256: str
    checks: list[Check]


def verify(
    store: Store,
    plugins: Plugins,
    run_id: str,
    cache: Path,
    *,
    copy: Path | None = None,
    again: bool = False,
    plugins_from: Iterable[str] = (),
) -> Verified:
    """Check one run of the store, and leave `verified.json` in its folder.

    copy: a file with a copy of its record, which is checked in place of the run's own; then nothing is left.
    again: repeat the run as well. Raises UserError where the run left nothing that could be checked.
    """
    folder = store.folder(run_id)
    if folder.is_symlink():
        raise UserError(f"{folder} is a link: nothing is written where it leads; copy the run itself")
    file = copy if copy is not None else folder / "record.json"
    record = read_record(file)
    if copy is not None:
        record = restored(record, read_record(folder / "record.json"))  # what was published names no paths
    if not record.metrics or not (folder / WEIGHTS).is_file():
        raise UserError(f"{run_id}: nothing to verify: it ended as {record.status} and left no network")
    with as_in_runs(config_of(record).engine.threads):
        run = Reloaded.of(plugins, record, folder, cache)
        checks = claims(store, run, file)
    if again:
        checks.append(retrain(store, record, cache, plugins, list(plugins_from), run.same_machine))
    found = Verified(
        run_id=run_id,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        ok=not any(check.ok is False for check in checks),
        machine=dict(run.machine),
        same_machine=run.same_machine,
        tolerance={
            "metrics": 0.0 if run.same_machine else ELSEWHERE,
            "measured speed-up": FASTER,
            **{f"proof in {dtype}": allowed for dtype, allowed in PROOF_TOLERANCE.items()},
        },
        record_sha256=_sha256(file),
        checks=checks,
    )
    if copy is None:
        write_json(found.model_dump(mode="json"), folder / FILE)
    return found


def claims(store: Store, run: Reloaded, file: Path) -> list[Check]:
    """Every claim of a run's record, which lies in `file`, checked."""
    return [*_of_record(store, run.record, file), *run_checks(run, store)]


def has_network(store: Store, run_id: str) -> bool:
    """Whether a run left weights that can be checked."""
    return (store.folder(run_id) / WEIGHTS).is_file()


def find_run(store: Store, text: str) -> tuple[str, Path | None]:
    """The run that a text names, and the file with a copy of its record where the text is one."""
    path = Path(text)
    if not path.name.endswith(".json"):
        return store.resolve(text), None
    run_id = read_record(path).run_id
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,150}", run_id):
        raise UserError(f"{path}: run_id {run_id[:80]!r} cannot be a run's name")
    if store.find(run_id) is None:
        raise UserError(
            f"{path}: run {run_id} is not in {store.root}; its weights are needed: make it again with its own command"
        )
    return run_id, path


def read_verified(folder: Path) -> Verified | None:
    """What the last verification of a run found; None where there was none. UserError where the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return Verified.model_validate(read_json(path))
    except (OSError, JsonError, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{path}: not a verification ({line}); remove it and verify again") from error


def _of_record(store: Store, record: Record, file: Path) -> Iterator[Check]:
    """The record as a whole: is it the run's own, of this identity, and as it was when it was last verified?"""
    folder = store.folder(record.run_id) if file.parent.name != record.run_id else file.parent
    own = read_record(folder / "record.json")
    wrong = list(record_differences(record, own))
    if file.parent.name == folder.name and own.run_id != folder.name:
        wrong.append(f"run_id: recorded {own.run_id}, its folder is {folder.name}")
    earlier = read_verified(folder)
    if earlier is not None and earlier.ok and earlier.record_sha256 != _sha256(folder / "record.json"):
        wrong.append(f"it is not the record that was verified at {earlier.at}")
    detail = "; ".join(wrong[:3]) or f"sha256 {_sha256(file)[:12]}"
    yield Check(name="record", ok=not wrong, detail=detail)
    yield _identity(folder, record)


def _identity(folder: Path, record: Record) -> Check:
    """The run_id ends in the digest of what decided the run, and the record's configuration is the one in there."""
    identity = read_identity(folder)
    if identity is None:
        return Check(name="identity", ok=None, detail="the run is older than identity.json")
    digest = identity_digest(identity)
    wrong = [] if record.run_id.endswith(f"-{digest[:12]}") else [f"run_id does not end in {digest[:12]}"]
    if record.provenance is not None and record.provenance.identity != digest:
        wrong.append("the recorded digest is another")
    wrong += [f"{key}: not what the run was identified by" for key in _strays(identity["config"], record)]
    if record.config.get("model") != identity["model"]:
        wrong.append("model: not what the run was identified by")
    return Check(name="identity", ok=not wrong, detail="; ".join(wrong[:3]) or f"sha256 {digest[:12]}")


def _strays(config: dict[str, Any], record: Record) -> Iterator[str]:
    """Settings that the record has otherwise than the identity, which leaves out what only says where a run runs."""
    for key, value in config.items():
        claimed = record.config.get(key)
        if key in {"engine", "data"}:
            inner = value["params"] if key == "data" else value
            outer = (claimed or {}).get("params", {}) if key == "data" else (claimed or {})
            yield from (f"{key}.{name}" for name, found in inner.items() if outer.get(name) != found)
        elif key == "budget":
            yield from (f"budget.{n}" for n, v in value.items() if n != "reference" and (claimed or {}).get(n) != v)
        elif claimed != value:
            yield key


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
