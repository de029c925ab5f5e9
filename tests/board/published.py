"""Records as they are published: named after their method, seed and digest, like those of real runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from msbench.records.record import Record
from tests.board.conftest import Factory

HERE = {"model": "A CPU", "cores": 2}


def record_of(name: str, seed: int = 0, *, cpu: str = "A CPU", **changes: Any) -> Record:
    """A record that passes every check; on machine `cpu`."""
    record = Factory().record(name, seed, **({"mode": "share"} | changes))
    record.run_id = run_id(name, seed)
    record.environment["cpu"] = cpu
    if record.delta:
        record.delta.dense_run = run_id("dense", seed)
    return record


def run_id(name: str, seed: int) -> str:
    return f"{name}-rooms-quick-s{seed}-{hashlib.sha256(f'{name} {seed}'.encode()).hexdigest()[:12]}"


def save(records: list[Record], folder: Path, extras: bool = False) -> Path:
    """Write run folders below `folder`."""
    return Factory().save(records, folder, extras)
