"""What must hold of a record before it is published, beside its schema: nothing here trusts its maker."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from msbench.board.reading.load import FINISHED, Run
from msbench.board.reading.measured import timings
from msbench.records.measurement import Measurement
from msbench.records.record import LatencyPart, MetricValue, Record

_DIGEST_LENGTH = 12
_ROUNDING = 1e-6


def objections(run: Run) -> list[str]:
    """Each thing that a record claims and that cannot be; empty when it may be published."""
    record = run.record
    found = [*_identity(record), *_shares(record), *_status(record), *_budget(record), *_ratios(record)]
    return [*found, *_metrics(record), *_delta(record)]


def _identity(record: Record) -> Iterator[str]:
    """The run_id ends in the digest of what decides the run, and names its method and seed."""
    slug, _, digest = record.run_id.rpartition("-")
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGEST_LENGTH}}}", digest):
        yield f"run_id {record.run_id!r} does not end in a digest of {_DIGEST_LENGTH} digits"
    elif record.provenance and record.provenance.identity[:_DIGEST_LENGTH] != digest:
        yield f"run_id ends in {digest}, but provenance.identity begins with {record.provenance.identity[:12]}"
    named = re.sub(r"[^A-Za-z0-9_.]+", "-", record.sparsifier.name).strip("-.")
    if not slug.startswith(named[:80]):
        yield f"run_id {record.run_id!r} does not begin with its sparsifier's name {named!r}"
    if not re.search(rf"-s{record.seed}(-|$)", slug) and len(slug) < 100:
        yield f"run_id {record.run_id!r} does not name its seed {record.seed}"
    try:
        datetime.fromisoformat(record.created)
    except ValueError:
        yield f"created: {record.created[:40]!r} is not a time"


def _shares(record: Record) -> Iterator[str]:
    shares: dict[str, float | None] = {}
    if budget := record.budget:
        shares |= {f"budget.{name}": getattr(budget, name) for name in ("asked", "achieved", "natural", "tolerance")}
    if sparsity := record.sparsity:
        shares |= {"sparsity.parameters": sparsity.parameters, "sparsity.groups": sparsity.groups}
        for part in ("per_layer", "per_component", "by_unit"):
            shares |= {f"sparsity.{part}.{name}": value for name, value in getattr(sparsity, part).items()}
        for name, pair in sparsity.channels.items():
            if len(pair) != 2 or not 0 <= pair[0] <= pair[1]:
                yield f"sparsity.channels.{name}: {pair} is not [kept, all]"
    yield from (f"{name}: {value:g} is not in [0, 1]" for name, value in shares.items() if value is not None
                and not 0 <= value <= 1)  # fmt: skip


def _status(record: Record) -> Iterator[str]:
    """A run that ended well has metrics and a proof; any other has a reason."""
    if record.status in FINISHED and not record.metrics:
        yield f"status is {record.status}, but there are no test metrics"
    if record.status != "ok" and not record.reason:
        yield f"status is {record.status} without a reason"
    if record.status == "ok" and record.proof and not record.proof.equal:
        yield "status is ok, but the proof says that the compact network is not equal"
    if record.status == "inexact" and record.proof and record.proof.equal:
        yield "status is inexact, but the proof says that the compact network is equal"
    if record.status == "ok" and record.budget and record.budget.met is False:
        yield "status is ok, but the budget was not met"


def _budget(record: Record) -> Iterator[str]:
    budget, allowance = record.budget, record.allowance
    if budget and budget.asked is not None and budget.achieved is not None and budget.met is not None:
        within = abs(budget.achieved - budget.asked) <= budget.tolerance + _ROUNDING
        if within != budget.met:
            yield f"budget.met is {budget.met}, but {budget.achieved:g} was achieved of {budget.asked:g} asked"
    if allowance and record.status in FINISHED and not 0 <= allowance.spent <= allowance.samples:
        yield f"allowance: {allowance.spent} samples spent of {allowance.samples}"


def _ratios(record: Record) -> Iterator[str]:
    """Ratios are those of their counts; a speed-up needs a proof whose differences are within its tolerance."""
    proof, part, speedup = record.proof, record.compression, record.speedup
    if proof and proof.equal:
        for kind, value in proof.max_abs_diff.items():
            if not 0 <= value <= proof.tolerance.get(kind, math.inf):
                yield f"proof.equal, but proof.max_abs_diff.{kind} is {value:g}"
    if (part or speedup) and record.status == "ok" and not (proof and proof.equal):
        yield "compression or speed-up without a proof that the compact network is equal"
    if part:
        yield from _ratio("compression.parameters", part.parameters, part.dense_parameters, part.compact_parameters)
        yield from _ratio("compression.bytes", part.bytes, part.dense_bytes, part.compact_bytes)
    if speedup:
        yield from _ratio("speedup.macs", speedup.macs, speedup.dense_macs, speedup.compact_macs)
        for device, found in speedup.measured.items():
            if found:
                yield from _timing(f"speedup.measured.{device}", found)


def measurement_objections(measurements: Iterable[Measurement]) -> list[str]:
    """Each thing that later measurements of a run claim and that cannot be."""
    found = ((f"measurement of {one.created[:40]}", part) for one in measurements for _, part in timings(one))
    return [wrong for where, part in found for wrong in _timing(where, part)]


def _timing(where: str, part: LatencyPart) -> Iterator[str]:
    if not (part.ratio > 0 and part.dense_s > 0 and part.compact_s > 0 and part.rounds > 0):
        yield f"{where}: times, ratio and rounds must be positive"
    elif not 0.5 < part.ratio * part.compact_s / part.dense_s < 2:
        yield f"{where}: ratio {part.ratio:g} is not that of its times"


def _ratio(name: str, ratio: float, dense: int, compact: int) -> Iterator[str]:
    if dense <= 0 or compact < 0 or ratio <= 0:
        yield f"{name}: {ratio:g} of {dense} and {compact} is no ratio"
    elif compact and not math.isclose(ratio, dense / compact, rel_tol=0.02):
        yield f"{name}: {ratio:g} is not {dense} / {compact}"


def _metrics(record: Record) -> Iterator[str]:
    tasks = {task.name for task in record.tasks}
    for part, metrics in (("metrics", record.metrics), ("validation", record.validation)):
        for task, found in metrics.items():
            if tasks and task not in tasks:
                yield f"{part}.{task}: not one of the run's tasks"
            yield from (f"{part}.{task}.{name}: {value.value:g} % is not in [0, 100]"
                        for name, value in found.items() if _impossible(value))  # fmt: skip
    for task_part in record.tasks:
        if record.metrics and task_part.headline not in record.metrics.get(task_part.name, {}):
            yield f"metrics.{task_part.name} lacks its headline {task_part.headline!r}"


def _impossible(metric: MetricValue) -> bool:
    return metric.unit == "%" and metric.better == "higher" and not 0 <= metric.value <= 100


def _delta(record: Record) -> Iterator[str]:
    delta = record.delta
    if delta is None or not delta.per_task:
        return
    if not math.isclose(delta.mean, _mean(delta.per_task), rel_tol=1e-6, abs_tol=_ROUNDING):
        yield f"delta.mean: {delta.mean:g} is not the mean of delta.per_task"
    if delta.worst_task not in delta.per_task:
        yield f"delta.worst_task: {delta.worst_task!r} is not a task"
    elif delta.per_task[delta.worst_task] > min(delta.per_task.values()) + _ROUNDING:
        yield f"delta.worst_task: {delta.worst_task!r} did not lose most"


def _mean(values: Mapping[str, float]) -> float:
    return math.fsum(values.values()) / len(values)
