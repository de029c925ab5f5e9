"""The record: what one run leaves behind. A versioned schema, validated on every read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from msbench.errors import UserError

SCHEMA_VERSION = 1
METRIC_VERSION = 1
"""Raised when a metric's definition changes: records of different versions are never ranked together."""

Status = Literal["ok", "budget_missed", "inexact", "diverged", "failed", "timeout", "killed", "skipped"]
"""`ok` is the only good one; every other comes with a reason and is shown, never hidden."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SparsifierPart(_Part):
    """`name` is what the user typed (possibly a variant), `base` the plugin class's own name."""

    name: str
    base: str
    plugin: str
    version: str
    params: dict[str, Any]
    paper: str = ""
    summary: str = ""
    notes: list[str] = Field(default_factory=list)
    """Rulings of this run: which formulation ran, where it departs from its paper."""


class DatasetPart(_Part):
    name: str
    params: dict[str, Any]
    synthetic: bool
    train: int
    validation: int
    test: int
    image: list[int]
    """Channels, height, width."""


class ModelPart(_Part):
    name: str
    backbone: str
    head: str
    params: dict[str, Any]
    parameters: int


class TaskPart(_Part):
    name: str
    kind: str
    headline: str


class BudgetPart(_Part):
    """Sparsities are shares in [0, 1] of what the scope's convolution and linear layers cost in `unit`."""

    mode: Literal["matched", "share", "natural"]
    scope: Literal["backbone", "model"]
    unit: Literal["params", "macs", "latency"]
    structured: bool
    asked: float | None
    achieved: float | None
    natural: float | None
    """What the method had found by itself just before settling; None for methods without a level of their own."""
    settled_by: float | None
    """Achieved minus natural: how far settling moved the sparsity."""
    tolerance: float
    met: bool | None
    reference: str | None = None
    """run_id of the reference whose sparsity set the target."""
    table: str = ""
    """Digest of the latency table, `latency_table.json` in the run's folder, where the unit is latency."""


class AllowancePart(_Part):
    """Samples that went forward and backward."""

    samples: int
    spent: int


class MetricValue(_Part):
    value: float
    better: Literal["higher", "lower"]
    label: str
    unit: str
    in_delta: bool
    constant: float | None = None
    """The same metric for the best constant predictor (for accuracy: the majority rate)."""


class DeltaPart(_Part):
    """Δ_T of AdapMTL eq. 7 in percent against the dense run of the same seed; positive is better."""

    dense_run: str
    per_task: dict[str, float]
    mean: float
    sum: float
    """Mean over tasks of the sums over metrics: the arithmetic of the paper's tables."""
    worst_task: str


class SparsityPart(_Part):
    parameters: float
    groups: float
    per_layer: dict[str, float]
    per_component: dict[str, float]
    channels: dict[str, list[int]]
    """Layer name to [kept, all] input channels."""
    by_unit: dict[str, float] = Field(default_factory=dict)
    """Sparsity in each unit that was counted: "params", "macs", and "latency" where a table was measured."""


class CompressionPart(_Part):
    """Ratios dense / compact (above 1 is smaller), and the counts that they come from."""

    parameters: float
    bytes: float
    dense_parameters: int
    compact_parameters: int
    dense_bytes: int
    compact_bytes: int


class LatencyPart(_Part):
    """Dense against compact in alternating rounds; seconds and the ratio dense / compact.

    low, high: 95 % interval of the median ratio. cpu_share: processor time / wall time while a CPU was timed; below
    one, the process waited. others: running tasks of the machine that were not ours, median over the rounds. why:
    what makes it noisy. mode: how the networks were called. None, or empty: not known.
    """

    device: str
    ratio: float
    q25: float
    q75: float
    dense_s: float
    compact_s: float
    rounds: int
    threads: int
    batch: int
    size: list[int]
    dtype: str
    load: float | None = None
    noisy: bool = False
    low: float | None = None
    high: float | None = None
    cpu_share: float | None = None
    others: float | None = None
    why: list[str] = Field(default_factory=list)
    mode: Literal["eager", "graph"] = "eager"


class SpeedupPart(_Part):
    theoretical: float | None
    """The papers' ratio: total FLOPs / FLOPs of the kept input channels; None when nothing is kept."""
    macs: float
    """Multiply-adds dense / after compaction."""
    dense_macs: int
    compact_macs: int
    measured: dict[str, LatencyPart | None]
    """Device name to a measurement; None is a declared gap (no such device on the machine)."""


class ProofPart(_Part):
    """Masked network against compact network in eval mode."""

    equal: bool
    max_abs_diff: dict[str, float]
    """dtype name ("float32", "float64") to the greatest difference over all tasks and inputs."""
    per_task: dict[str, dict[str, float]]
    tolerance: dict[str, float]
    reason: str = ""


class MetaTestPart(_Part):
    """Fine-tuning of another run's sparse network, its mask held."""

    mode: Literal["same", "add", "only"]
    task: str | None
    source: str
    """run_id of the run whose weights and mask it started from."""


class CostPart(_Part):
    wall_s: float
    peak_memory: int
    """Bytes."""
    shared_start: float = 0.0
    """Of wall_s, seconds that an earlier run had spent on the start that both share."""


class Record(_Part):
    """One run. Parts that a failed run never reached are None."""

    schema_version: int = SCHEMA_VERSION
    metric_version: int = METRIC_VERSION
    run_id: str
    status: Status
    reason: str = ""
    created: str
    """UTC, ISO 8601."""
    preset: str
    command: str
    seed: int
    sparsifier: SparsifierPart
    dataset: DatasetPart | None = None
    model: ModelPart | None = None
    tasks: list[TaskPart] = Field(default_factory=list)
    meta_test: MetaTestPart | None = None
    budget: BudgetPart | None = None
    allowance: AllowancePart | None = None
    metrics: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    validation: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    delta: DeltaPart | None = None
    sparsity: SparsityPart | None = None
    compression: CompressionPart | None = None
    speedup: SpeedupPart | None = None
    proof: ProofPart | None = None
    cost: CostPart | None = None
    hashes: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)


def read_record(path: Path) -> Record:
    """The validated record at `path`; UserError names the file and the first thing wrong with it."""
    try:
        return Record.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a readable record ({error}); remove its folder and run again") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path}: not a valid record: {where}: {first['msg']}; remove its folder and run again"
        ) from error


def write_record(record: Record, path: Path) -> None:
    """Write the record as JSON with a stable key order."""
    path.write_text(json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n", encoding="utf-8")
