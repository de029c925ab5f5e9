"""Records as one table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from msbench.errors import UserError
from msbench.records.record import Record
from msbench.store.store import Store, write_json


def flat(record: Record) -> dict[str, Any]:
    """One row: dotted keys for everything but lists, layers and the environment."""
    wanted = record.model_dump(mode="json", exclude={"config", "environment", "tasks", "hashes"})
    (wanted.get("sparsity") or {}).pop("channels", None)
    (wanted.get("sparsity") or {}).pop("per_layer", None)
    row = pd.json_normalize(wanted).iloc[0].to_dict()
    return {str(key): value for key, value in row.items() if not isinstance(value, list)}


def export_records(store: Store, out: Path, kind: Literal["csv", "json", "parquet"]) -> int:
    """Write every record of the store to `out`, by rename; returns how many."""
    records = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    try:
        if kind == "json":
            write_json([record.model_dump(mode="json") for record in records], out)
        else:
            table = pd.DataFrame([flat(record) for record in records])
            aside = out.with_name(f".{out.name}.{os.getpid()}")
            if kind == "csv":
                table.to_csv(aside, index=False)
            else:
                table.to_parquet(aside, index=False)
            aside.replace(out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; choose a file that can be written") from error
    return len(records)
