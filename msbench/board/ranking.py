"""A board's rows with their ranks: everything that tables and figures are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msbench.board.grouping import Board
from msbench.board.rows import Row, Target, build_rows, dense_row, metric_specs
from msbench.board.statistics import MIN_SEEDS, rank_ranges
from msbench.board.text import decimals_for, plural
from msbench.runs.record import MetricValue, TaskPart


@dataclass(frozen=True)
class BoardRows:
    """A board, its rows aggregated over seeds, their rank ranges, and the metrics of every task."""

    board: Board
    dense: Row | None
    rows: tuple[Row, ...]
    ranks: Mapping[Row, tuple[int, int]]
    specs: Mapping[str, Mapping[str, MetricValue]]

    @classmethod
    def of(cls, board: Board) -> BoardRows:
        """Aggregate the board's runs over seeds and rank the rows."""
        rows = tuple(build_rows(board))
        return cls(board, dense_row(board), rows, ranks(rows), metric_specs(board))

    @property
    def shown(self) -> tuple[Row, ...]:
        """Rows with results, the dense control first."""
        finished = tuple(row for row in self.rows if row.finished)
        return (self.dense, *finished) if self.dense and self.dense.finished else finished

    def headline(self, task: TaskPart) -> MetricValue | None:
        """Specification of a task's headline metric, if any run has it."""
        return self.specs.get(task.name, {}).get(task.headline)

    def decimals(self, task: str, metric: str) -> int:
        """Decimals that a metric is shown with, the same for every row."""
        return decimals_for(found.mean for row in self.shown if (found := row.metric(task, metric)))

    def devices(self) -> list[str]:
        """Kinds of device to show: CPU and CUDA always, so that a missing one is a declared gap."""
        speedups = [run.record.speedup for row in self.shown for run in row.finished]
        seen = {kind for speedup in speedups if speedup for kind in speedup.measured}
        return ["cpu", "cuda", *sorted(seen - {"cpu", "cuda"})]


def ranks(rows: Iterable[Row]) -> dict[Row, tuple[int, int]]:
    """Rank ranges on mean Δ_T, among the rows of one target that met the contract with every seed."""
    pools: dict[Target, dict[str, Row]] = defaultdict(dict)
    for index, row in enumerate(rows):
        if row.finished and not row.objections and row.target.rankable:
            pools[row.target][str(index)] = row
    found: dict[Row, tuple[int, int]] = {}
    for pool in pools.values():
        if not _same_targets(pool.values()):
            continue
        ranges = rank_ranges({name: _deltas(row) for name, row in pool.items()})
        found.update({pool[name]: rank_range for name, rank_range in ranges.items()})
    return found


def rank_notice(rows: Iterable[Row], ranked: Mapping[Row, tuple[int, int]]) -> str:
    """How the ranking was made, or why there is none."""
    if ranked:
        return (
            "Ranks are ranges: every two rows of one budget are compared on mean Δ_T by a paired t-test "
            "over the seeds that all of them share, with Holm's correction at 5\u202f%. "
            "Ranges that overlap are ties."
        )
    most = max((len(row.finished) for row in rows), default=0)
    if most < MIN_SEEDS:
        return f"Not ranked: {plural(most, 'seed')} a row, and a ranking needs at least {MIN_SEEDS}."
    return f"Not ranked: no two rows met the same target with {MIN_SEEDS} seeds in common."


def _deltas(row: Row) -> dict[int, float]:
    return {run.record.seed: run.record.delta.mean for run in row.finished if run.record.delta}


def _same_targets(rows: Iterable[Row]) -> bool:
    """Whether all rows had the same target, seed by seed; a reference counts as what it achieved."""
    asked: dict[int, list[float]] = defaultdict(list)
    tolerance = 0.0
    for row in rows:
        for run in row.finished:
            budget = run.record.budget
            if budget is None:
                continue
            target = budget.achieved if row.reference else budget.asked
            if target is not None:
                asked[run.record.seed].append(target)
                tolerance = max(tolerance, budget.tolerance)
    return all(max(values) - min(values) <= tolerance for values in asked.values())
