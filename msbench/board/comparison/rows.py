"""Rows of a board: the runs of one sparsifier configuration under one budget, one run a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from msbench.board.comparison.grouping import Board, canonical
from msbench.board.reading.load import Run
from msbench.board.reading.machine import Machine
from msbench.board.statistics import Summary, summarize
from msbench.board.text import level, seeds
from msbench.records.record import (
    BudgetPart,
    CompressionPart,
    LatencyPart,
    MetricValue,
    SparsifierPart,
    SpeedupPart,
)

_BudgetKey = tuple[str, float | None] | None
"""Mode and target of a budget; None where a run failed before it had one."""


@dataclass(frozen=True, order=True)
class Target:
    """The budget that rows must share to be ranked against each other.

    kind, in the order of the page's sections: 0 matched, 1 a share, 2 natural, 3 not known.
    """

    kind: int
    asked: float
    unstructured: bool
    label: str

    @property
    def natural(self) -> bool:
        """Whether every row was free to stop at any sparsity."""
        return self.kind == 2

    @property
    def rankable(self) -> bool:
        """Whether rows of this target had to reach the same sparsity."""
        return self.kind < 2


@dataclass(frozen=True)
class Outcome:
    """How some seeds of a row broke the contract, or failed."""

    status: str
    seeds: tuple[int, ...]
    reason: str

    @property
    def where(self) -> str:
        """The seeds in words."""
        return f"seed{'s' if len(self.seeds) > 1 else ''} {seeds(self.seeds)}"


@dataclass(frozen=True, eq=False)
class Row:
    """One sparsifier configuration under one budget.

    runs: the newest of each seed, by seed. dense: the board's dense controls by run_id. machine: whose timings count.
    """

    runs: tuple[Run, ...]
    superseded: tuple[Run, ...]
    dense: Mapping[str, Run]
    machine: Machine | None
    reference: bool = False
    """Whether other rows' target is what this row achieved."""
    _metrics: dict[tuple[str, str], Summary | None] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def sparsifier(self) -> SparsifierPart:
        return self.runs[0].record.sparsifier

    @cached_property
    def finished(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.finished)

    @cached_property
    def timed(self) -> tuple[Run, ...]:
        """The finished runs of the board's machine: seeds of other hardware count for quality, not for time."""
        return tuple(run for run in self.finished if run.machine == self.machine)

    @cached_property
    def budget(self) -> BudgetPart | None:
        return next((run.record.budget for run in (*self.finished, *self.runs) if run.record.budget), None)

    @cached_property
    def target(self) -> Target:
        """The budget in a form that can be compared and shown."""
        budget = self.budget
        if budget is None:
            return Target(3, 0.0, False, "unknown budget")
        family = "structured" if budget.structured else "unstructured"
        if budget.mode == "matched" or self.reference:
            return Target(0, 0.0, not budget.structured, f"Matched budget, {family}")
        if budget.mode == "share" and budget.asked is not None:
            label = f"{level(budget.asked)} of the {budget.scope}'s {budget.unit}, {family}"
            return Target(1, budget.asked, not budget.structured, label)
        return Target(2, 0.0, not budget.structured, f"Natural sparsity, {family}")

    def summary(self, value: Callable[[Run], float | None]) -> Summary | None:
        """Summary over the finished seeds that have this value."""
        return summarize(found for run in self.finished if (found := value(run)) is not None)

    def metric(self, task: str, metric: str) -> Summary | None:
        """A test metric over seeds."""
        key = (task, metric)
        if key not in self._metrics:
            self._metrics[key] = self.summary(lambda run: _value(run, task, metric))
        return self._metrics[key]

    def change(self, task: str, metric: str) -> Summary | None:
        """Percent change of a test metric against the dense run of the same seed; positive is better."""
        return self.summary(lambda run: relative_change(run, self.control(run), task, metric))

    def control(self, run: Run) -> Run | None:
        """The dense run that a run was compared with."""
        return self.dense.get(run.record.delta.dense_run) if run.record.delta else None

    def task_delta(self, task: str) -> Summary | None:
        """Δ_T of one task over seeds, in percent."""
        return self.summary(lambda run: run.record.delta.per_task.get(task) if run.record.delta else None)

    @cached_property
    def delta_mean(self) -> Summary | None:
        return self.summary(lambda run: run.record.delta.mean if run.record.delta else None)

    @cached_property
    def achieved(self) -> Summary | None:
        """Achieved sparsity in [0, 1]."""
        return self.summary(lambda run: run.record.budget.achieved if run.record.budget else None)

    @cached_property
    def proven(self) -> bool:
        """Whether every finished run's small network was shown equal to its masked one."""
        return bool(self.finished) and all(run.record.proof and run.record.proof.equal for run in self.finished)

    def compression(self, value: Callable[[CompressionPart], float]) -> Summary | None:
        """A figure of the compression over seeds."""
        return self.summary(lambda run: value(part) if (part := run.record.compression) else None)

    def speedup(self, value: Callable[[SpeedupPart], float | None]) -> Summary | None:
        """A figure of the speed-up over seeds."""
        return self.summary(lambda run: value(part) if (part := run.record.speedup) else None)

    def latencies(self, device: str) -> list[LatencyPart]:
        """Measurements on the board's "cpu" or "cuda", one a seed where there is one."""
        parts = (run.record.speedup.measured.get(device) for run in self.timed if run.record.speedup)
        return [part for part in parts if part is not None]

    def measured(self, device: str) -> Summary | None:
        """Measured speed-up on a device over seeds."""
        return summarize(part.ratio for part in self.latencies(device))

    @cached_property
    def wall_time(self) -> Summary | None:
        """Seconds that a run took on the board's machine, over seeds."""
        return summarize(run.record.cost.wall_s for run in self.timed if run.record.cost)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """Every way in which seeds of this row broke the contract; empty when all met it."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for run in self.runs:
            if run.record.status != "ok":
                found[run.record.status.replace("_", " "), run.record.reason].append(run.record.seed)
            elif self._initial_weights_differ(run):
                found["other start", "not the dense run's initial weights"].append(run.record.seed)
        return [Outcome(status, tuple(numbers), reason) for (status, reason), numbers in found.items()]

    @property
    def objections(self) -> list[str]:
        """Why this row may not be ranked, in words; empty when it may."""
        return [f"{item.status}, {item.where}" + (f": {item.reason}" if item.reason else "") for item in self.outcomes]

    def _initial_weights_differ(self, run: Run) -> bool:
        dense = self.control(run)
        ours, theirs = (r and r.record.hashes.get("initial_weights") for r in (run, dense))
        return bool(ours and theirs and ours != theirs)


def _value(run: Run, task: str, metric: str) -> float | None:
    found = run.record.metrics.get(task, {}).get(metric)
    return found.value if found else None


def relative_change(run: Run, dense: Run | None, task: str, metric: str) -> float | None:
    """Percent change against the dense run, positive when better; None without one or where dense is zero."""
    ours = run.record.metrics.get(task, {}).get(metric)
    base = _value(dense, task, metric) if dense else None
    if ours is None or not base:
        return None
    change = 100.0 * (ours.value - base) / abs(base)
    return change if ours.better == "higher" else -change


def metric_specs(board: Board) -> dict[str, dict[str, MetricValue]]:
    """Task name to its metrics, headline first, each with a value of some run as an example."""
    specs: dict[str, dict[str, MetricValue]] = {task.name: {} for task in board.tasks}
    for run in board.everything:
        for task in board.tasks:
            known, found = run.record.metrics.get(task.name, {}), specs[task.name]
            if known.keys() - found.keys():
                for name in sorted(known, key=lambda name: name != task.headline):
                    found.setdefault(name, known[name])
    return specs


def dense_row(board: Board) -> Row | None:
    """The dense control, aggregated over seeds."""
    if not board.dense:
        return None
    newest, superseded = _newest_per_seed(board.dense)
    return Row(newest, superseded, {}, board.machine)


def build_rows(board: Board) -> list[Row]:
    """Every row but the dense control, best Δ_T first."""
    references = {run.record.budget.reference for run in board.runs if run.record.budget}
    dense = {run.run_id: run for run in board.dense}
    by_method: dict[tuple[str, ...], dict[_BudgetKey, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in board.runs:
        sparsifier = run.record.sparsifier
        method = (sparsifier.name, sparsifier.plugin, sparsifier.version, canonical(sparsifier.params))
        by_method[method][_budget_key(run, references)].append(run)

    rows = []
    for by_budget in by_method.values():
        _adopt_unbudgeted(by_budget)
        for runs in by_budget.values():
            newest, superseded = _newest_per_seed(runs)
            reference = any(run.run_id in references for run in newest)
            rows.append(Row(newest, superseded, dense, board.machine, reference))
    return sorted(rows, key=_row_order)


def status_of(row: Row) -> tuple[Literal["good", "bad", "warn"], str]:
    """Tone and words of a row's status, with seeds where only some of them broke the contract."""
    if not row.outcomes:
        return "good", "ok"
    parts: dict[str, None] = {}
    for item in row.outcomes:
        whole = len(item.seeds) == len(row.runs)
        parts[item.status if whole else f"{item.status} ({item.where})"] = None
    return ("warn" if row.finished else "bad"), ", ".join(parts)


def _budget_key(run: Run, references: set[str | None]) -> _BudgetKey:
    budget = run.record.budget
    if budget is None:
        return None
    if run.run_id in references or budget.mode == "matched":
        return "matched", None
    return budget.mode, budget.asked


def _adopt_unbudgeted(by_budget: dict[_BudgetKey, list[Run]]) -> None:
    """Runs that failed before their budget was known join their method's only other row."""
    if None in by_budget and len(by_budget) == 2:
        orphans = by_budget.pop(None)
        next(iter(by_budget.values())).extend(orphans)


def _newest_per_seed(runs: Iterable[Run]) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The newest run of each seed, and the older ones."""
    ordered = sorted(runs, key=lambda run: (run.record.seed, run.record.created, run.run_id))
    newest = {run.record.seed: run for run in ordered}
    return tuple(newest.values()), tuple(run for run in ordered if run not in newest.values())


def _row_order(row: Row) -> tuple:
    delta = row.delta_mean
    return (not row.finished, row.target, -delta.mean if delta else float("inf"), row.sparsifier.name)
