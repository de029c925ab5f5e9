"""Measurements beside the runs of a store, as `msbench measure` leaves them: written once, named by their content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from msbench.errors import UserError
from msbench.records.measurement import FOLDER, Measurement
from msbench.store.durable import write_json
from msbench.store.store import Store


def save(store: Store, found: Measurement) -> Path:
    """Write a measurement under a name of its content; there whole or not at all."""
    plain = found.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
    folder = store.folder(found.run_id) / FOLDER
    folder.mkdir(exist_ok=True)
    write_json(plain, folder / f"{digest}.json")
    return folder / f"{digest}.json"


def measurements(store: Store, run_id: str) -> list[Measurement]:
    """Every measurement of a run, oldest first; UserError names a file that is none."""
    found = [_read(path) for path in sorted((store.folder(run_id) / FOLDER).glob("[!.]*.json"))]
    return sorted(found, key=lambda measurement: measurement.created)


def _read(path: Path) -> Measurement:
    try:
        return Measurement.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{path}: not a valid measurement ({line}); remove it and measure again") from error
