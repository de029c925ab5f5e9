"""The record: what one run leaves behind. A versioned schema, validated on every read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from msbench.errors import UserError
from msbench.records.migrations import SCHEMA_VERSION, NewerError, migrate
from msbench.records.parts import (
    AllowancePart,
    BudgetPart,
    CompressionPart,
    CostPart,
    DatasetPart,
    DeltaPart,
    LatencyPart,
    MetaTestPart,
    MetricValue,
    ModelPart,
    Part,
    ProofPart,
    ProvenancePart,
    SparsifierPart,
    SparsityPart,
    SpeedupPart,
    TaskPart,
)
from msbench.records.strict_json import JsonError, read_json

__all__ = [
    "METRIC_VERSION",
    "SCHEMA_VERSION",
    "AllowancePart",
    "BudgetPart",
    "CompressionPart",
    "CostPart",
    "DatasetPart",
    "DeltaPart",
    "LatencyPart",
    "MetaTestPart",
    "MetricValue",
    "ModelPart",
    "ProofPart",
    "ProvenancePart",
    "Record",
    "SparsifierPart",
    "SparsityPart",
    "SpeedupPart",
    "Status",
    "TaskPart",
    "parse_record",
    "read_record",
    "write_record",
]

METRIC_VERSION = 1
"""Raised when a metric's definition changes: records of different versions are never ranked together."""

Status = Literal["ok", "budget_missed", "inexact", "diverged", "failed", "timeout", "killed", "skipped"]
"""`ok` is the only good one; every other comes with a reason and is shown, never hidden."""


class Record(Part):
    """One run. Parts that a failed run never reached are None."""

    schema_version: int = SCHEMA_VERSION
    """Version of this schema."""
    metric_version: int = METRIC_VERSION
    """Version of the metrics' definitions."""
    run_id: str
    """The run's name: method, dataset, preset, budget, seed and a digest."""
    status: Status
    """How it ended; only `ok` is good."""
    reason: str = ""
    """Why it is not `ok`."""
    created: str
    """UTC, ISO 8601."""
    preset: str
    """The preset that was chosen."""
    command: str
    """The command line that makes this run."""
    seed: int
    """Decides initial weights, data order and augmentation."""
    sparsifier: SparsifierPart
    """The method."""
    dataset: DatasetPart | None = None
    """The data."""
    model: ModelPart | None = None
    """The network."""
    tasks: list[TaskPart] = Field(default_factory=list)
    """The tasks, in their order."""
    meta_test: MetaTestPart | None = None
    """Where the run is a meta-test."""
    budget: BudgetPart | None = None
    """What was to be removed, and what was."""
    allowance: AllowancePart | None = None
    """Samples for training."""
    metrics: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    """Test part: task name to metric name to figure."""
    validation: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    """The same for the validation part."""
    delta: DeltaPart | None = None
    """Against the dense run."""
    sparsity: SparsityPart | None = None
    """What the mask removes."""
    compression: CompressionPart | None = None
    """How much smaller the compact network is."""
    speedup: SpeedupPart | None = None
    """How much less it computes, and how much faster it is."""
    proof: ProofPart | None = None
    """That both networks have the same outputs."""
    cost: CostPart | None = None
    """What the run cost."""
    provenance: ProvenancePart | None = None
    """What it was made with; None in records that are older than this part."""
    hashes: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of initial weights, mask, data, configuration and sources."""
    environment: dict[str, Any] = Field(default_factory=dict)
    """Versions, hardware and settings of the machine."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The resolved configuration."""


def read_record(path: Path) -> Record:
    """The validated record at `path`, of any schema up to this one; UserError names the first thing wrong with it."""
    try:
        found = read_json(path)
    except (OSError, JsonError) as error:
        raise UserError(f"{path}: not a readable record ({_words(error)}); remove its folder and run again") from error
    return parse_record(found, str(path))


def parse_record(found: Any, where: str) -> Record:
    """A record from plain JSON; UserError starts with `where`."""
    if not isinstance(found, dict):
        raise UserError(f"{where}: not a record: it holds a {type(found).__name__}; remove its folder and run again")
    try:
        return Record.model_validate(migrate(found))
    except NewerError as error:
        raise UserError(f"{where}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        raise UserError(
            f"{where}: not a valid record: {place}: {first['msg']}; remove its folder and run again"
        ) from error
    except ValueError as error:
        raise UserError(f"{where}: not a valid record: {error}; remove its folder and run again") from error


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def write_record(record: Record, path: Path) -> None:
    """Write the record as JSON with a stable key order."""
    path.write_text(json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n", encoding="utf-8")
