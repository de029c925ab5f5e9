"""A board's rows with their ranks: everything that tables and figures are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msbench.board.comparison.grouping import Board
from msbench.board.comparison.rows import Row, Target, build_rows, dense_row, metric_specs
from msbench.board.statistics import MIN_SEEDS, rank_ranges
from msbench.board.text import decimals_for, number, percent, plural, words
from msbench.records.record import MetricValue, TaskPart


@dataclass(frozen=True)
class Ranking:
    """Rank ranges, and why what could have been ranked was not."""

    ranks: Mapping[Row, tuple[int, int]]
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardRows:
    """A board, its rows aggregated over seeds, their rank ranges, and the metrics of every task."""

    board: Board
    dense: Row | None
    rows: tuple[Row, ...]
    ranking: Ranking
    specs: Mapping[str, Mapping[str, MetricValue]] = field(repr=False)

    @classmethod
    def of(cls, board: Board) -> BoardRows:
        """Aggregate the board's runs over seeds and rank the rows."""
        rows = tuple(build_rows(board))
        return cls(board, dense_row(board), rows, rank(rows), metric_specs(board))

    @property
    def ranks(self) -> Mapping[Row, tuple[int, int]]:
        """Rank range of each row that is ranked."""
        return self.ranking.ranks

    @property
    def shown(self) -> tuple[Row, ...]:
        """Rows with results, the dense control first."""
        finished = tuple(row for row in self.rows if row.finished)
        return (self.dense, *finished) if self.dense and self.dense.finished else finished

    def leads(self, row: Row) -> bool:
        """Whether a row alone is first of its target and the interval of its Δ_T overlaps no other's."""
        if self.ranks.get(row) != (1, 1):
            return False
        others = [other for other in self.ranks if other is not row and other.target == row.target]
        return not any(_overlap(row, other) for other in others)

    def headline(self, task: TaskPart) -> MetricValue | None:
        """Specification of a task's headline metric, if any run has it."""
        return self.specs.get(task.name, {}).get(task.headline)

    def decimals(self, task: str, metric: str) -> int:
        """Decimals that a metric is shown with, the same for every row."""
        return decimals_for(found.mean for row in self.shown if (found := row.metric(task, metric)))

    def devices(self) -> list[str]:
        """Kinds of device to show: CPU and CUDA always, so that a missing one is a declared gap."""
        return list(self._devices)

    @cached_property
    def _devices(self) -> tuple[str, ...]:
        speedups = [run.record.speedup for row in self.shown for run in row.finished]
        seen = {kind for speedup in speedups if speedup for kind in speedup.measured}
        return ("cpu", "cuda", *sorted(seen - {"cpu", "cuda"}))


def rank(rows: Iterable[Row]) -> Ranking:
    """Rank ranges on mean Δ_T, among the rows of one target that met the contract with every seed."""
    pools: dict[Target, list[Row]] = defaultdict(list)
    for row in rows:
        if may_be_ranked(row):
            pools[row.target].append(row)
    found: dict[Row, tuple[int, int]] = {}
    refusals: list[str] = []
    for target, pool in sorted(pools.items()):
        why = _different_targets(pool)
        ranges = {} if why else rank_ranges({str(i): deltas(row) for i, row in enumerate(pool)})
        found.update({pool[int(name)]: rank_range for name, rank_range in ranges.items()})
        refusals += [f"{target.label}: {reason}" for reason in ([why] if why else _too_few(pool, found))]
    return Ranking(found, tuple(refusals))


def rank_notice(data: BoardRows) -> str:
    """How the ranking was made, or why there is none."""
    if data.ranks:
        return (
            "Ranks are ranges: every two rows of one budget are compared on mean Δ_T by a paired t-test over the "
            "seeds that both have, with Holm’s correction at 5\u202f%. Ranges that overlap are ties."
        )
    most = max((len(row.finished) for row in data.rows), default=0)
    if most < MIN_SEEDS:
        return f"Not ranked: {plural(most, 'seed')} a row, and a ranking needs at least {MIN_SEEDS}."
    if any("targets" in reason for reason in data.ranking.refusals):
        return "Not ranked: the rows had different targets; below it says which."
    return f"Not ranked: no two rows met the same target with {MIN_SEEDS} seeds in common."


def may_be_ranked(row: Row) -> bool:
    """Whether a row has a result, met the contract with every seed, and was told its sparsity."""
    return bool(row.finished) and not row.objections and row.target.rankable


def deltas(row: Row) -> dict[int, float]:
    """Mean Δ_T by seed."""
    return {run.record.seed: run.record.delta.mean for run in row.finished if run.record.delta}


def _overlap(first: Row, second: Row) -> bool:
    intervals = [row.delta_mean.interval if row.delta_mean else None for row in (first, second)]
    return intervals[0] is None or intervals[1] is None or intervals[0].overlaps(intervals[1])


def _too_few(pool: Sequence[Row], ranked: Mapping[Row, tuple[int, int]]) -> list[str]:
    """What the rows lack that were not ranked beside others."""
    left_out = [row for row in pool if row not in ranked]
    if len(pool) < 2 or not left_out:
        return []
    counts = [len(deltas(row)) for row in left_out]
    if max(counts) < MIN_SEEDS and len(left_out) == len(pool):
        return [f"{plural(len(pool), 'row')} with {plural(max(counts), 'seed')} at most: a rank needs {MIN_SEEDS}"]
    named = words(f"{row.sparsifier.name} ({plural(len(deltas(row)), 'seed')})" for row in left_out)
    return [f"{named} left out: a rank needs {MIN_SEEDS} seeds with a Δ_T, in common with another row"]


def _different_targets(rows: Iterable[Row]) -> str:
    """Where rows had different targets for one seed; a reference counts as what it achieved. Empty when nowhere."""
    asked: dict[int, list[tuple[float, str]]] = defaultdict(list)
    tolerance = 0.0
    for row in rows:
        for run in row.finished:
            budget = run.record.budget
            if budget is None:
                continue
            target = budget.achieved if row.reference else budget.asked
            if target is not None:
                asked[run.record.seed].append((target, row.sparsifier.name))
                tolerance = max(tolerance, budget.tolerance)
    for seed, targets in sorted(asked.items()):
        low, high = min(targets), max(targets)
        if high[0] - low[0] > tolerance:
            return (
                f"the targets of seed {seed} differ by more than the tolerance of {number(100 * tolerance, 1)} "
                f"points: {percent(low[0])} ({low[1]}) against {percent(high[0])} ({high[1]})"
            )
    return ""
