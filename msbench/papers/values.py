"""The figure of one of the paper's columns, read from a record, in the paper's unit."""

from __future__ import annotations

from collections.abc import Mapping

from msbench.papers.schema import Column
from msbench.records.record import Record


def value(column: Column, record: Record, records: Mapping[str, Record]) -> float | None:
    """None where the record has no such figure. records: run_id to record, for the dense run behind Δ_T."""
    if column.figure == "metric":
        found = record.metrics.get(column.task or "", {}).get(column.metric or "")
        return found.value * column.scale if found is not None else None
    if column.figure.startswith("delta"):
        return _delta(column, record, records)
    if column.figure in ("parameters", "gflops"):
        return _cost(column, record)
    return _sparsity(column, record)


def constant(column: Column, record: Record) -> float | None:
    """The same figure of the best constant predictor; only metrics have one."""
    if column.figure != "metric":
        return None
    found = record.metrics.get(column.task or "", {}).get(column.metric or "")
    return found.constant * column.scale if found is not None and found.constant is not None else None


def _sparsity(column: Column, record: Record) -> float | None:
    """Percent."""
    if record.sparsity is None:
        return None
    shares = {
        "sparsity": record.sparsity.parameters,
        "group_sparsity": record.sparsity.groups,
        "component_sparsity": record.sparsity.per_component.get(column.component or ""),
    }
    share = shares[column.figure]
    return None if share is None else 100 * share * column.scale


def _cost(column: Column, record: Record) -> float | None:
    """Parameters or FLOPs of the kept weights: the papers' arithmetic, which is not what compaction leaves."""
    if column.figure == "parameters":
        if record.sparsity is None or record.model is None:
            return None
        return record.model.parameters * (1 - record.sparsity.parameters) / 1e6 * column.scale
    if record.speedup is None or record.speedup.theoretical is None:
        return None
    return 2 * record.speedup.dense_macs / record.speedup.theoretical / 1e9 * column.scale


def _delta(column: Column, record: Record, records: Mapping[str, Record]) -> float | None:
    """Percent against dense; 0 for the dense control itself."""
    if record.delta is None:
        control = any(other.delta and other.delta.dense_run == record.run_id for other in records.values())
        return 0.0 if control else None
    if column.figure == "delta":
        return record.delta.mean
    if column.figure == "delta_sum":
        return record.delta.sum
    mean = record.delta.per_task.get(column.task or "")
    if mean is None or column.figure == "delta_task":
        return mean
    return mean * _compared(column.task or "", record, records.get(record.delta.dense_run))


def _compared(task: str, record: Record, dense: Record | None) -> int:
    """How many metrics the mean over a task's metrics was taken over: one that is 0 for dense has no ratio."""
    names = [name for name, metric in record.metrics.get(task, {}).items() if metric.in_delta]
    before = dense.metrics.get(task, {}) if dense is not None else {}
    return sum(1 for name in names if name not in before or before[name].value != 0)
