"""Curves over several budgets: the area under quality against sparsity, paired by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msbench.board import text
from msbench.board.comparison.grouping import canonical
from msbench.board.comparison.ranking import BoardRows, may_be_ranked
from msbench.board.comparison.rows import Row
from msbench.board.reading.load import Run
from msbench.board.statistics import MIN_SEEDS, Span, Summary, area, common_span, rank_ranges, summarize
from msbench.board.table.cells import interval_text

MIN_BUDGETS: Final = 5
"""Fewer points than this make no curve (Blalock et al., What is the State of Neural Network Pruning?, 2020)."""

Value = Callable[[Run], float | None]


@dataclass(frozen=True)
class Quantity:
    """What is summarized over sparsities: Δ_T, or a task's headline metric."""

    name: str
    unit: str
    decimals: int
    value: Value


@dataclass(frozen=True, eq=False)
class Curve:
    """One method at several budgets: its rows by sparsity, and the seeds that all of them have."""

    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return self.rows[0].sparsifier.name

    @property
    def unstructured(self) -> bool:
        return self.rows[0].target.unstructured

    @property
    def seeds(self) -> list[int]:
        """Seeds with a result at every budget."""
        return sorted(set.intersection(*({run.record.seed for run in row.finished} for row in self.rows)))

    def points(self, seed: int, value: Value) -> list[tuple[float, float]]:
        """(achieved sparsity, value) of one seed at every budget that has both."""
        runs = [run for row in self.rows for run in row.finished if run.record.seed == seed]
        return [
            (run.record.budget.achieved, found)
            for run in runs
            if run.record.budget and run.record.budget.achieved is not None and (found := value(run)) is not None
        ]


@dataclass(frozen=True)
class Sweep:
    """The curves of a board over the sparsities that all of them reach.

    areas: by quantity and curve, the mean height over `span`, one value a seed. ranks: on Δ_T's area, structured and
    unstructured methods apart. notice: why there are no curves, or which methods have none; may be empty.
    """

    curves: tuple[Curve, ...]
    span: Span | None
    areas: Mapping[str, Mapping[Curve, Summary]]
    ranks: Mapping[Curve, tuple[int, int]]
    notice: str

    @classmethod
    def of(cls, data: BoardRows) -> Sweep:
        """The curves of a board's methods that have at least `MIN_BUDGETS` budgets without an objection."""
        every = _by_method(data.rows)
        curves = tuple(curve for curve in every if len(curve.rows) >= MIN_BUDGETS and curve.seeds)
        delta = delta_of
        span = common_span(curve.points(seed, delta) for curve in curves for seed in curve.seeds)
        notice = _notice(every, curves, span)
        if span is None:
            return cls((), None, {}, {}, notice)
        areas = {quantity.name: _areas(curves, span, quantity.value) for quantity in quantities(data)}
        return cls(curves, span, areas, _ranks(curves, span), notice)

    def table(self, data: BoardRows) -> tuple[list[str], list[list[str]]]:
        """Header and lines: method, budgets, seeds, rank, and each quantity's mean height with its interval."""
        known = [quantity for quantity in quantities(data) if self.areas.get(quantity.name)]
        header = ["Method", "Budgets", "Seeds", "Rank", *(f"{item.name}{item.unit}" for item in known)]
        lines = []
        for curve in sorted(self.curves, key=self._order):
            low, high = self.ranks.get(curve, (0, 0))
            rank = text.GAP if not low else str(low) if low == high else f"{low}{text.GAP}{high}"
            family = "unstructured" if curve.unstructured else "structured"
            cells = [_printed(self.areas[item.name].get(curve), item) for item in known]
            lines.append([f"{curve.name}, {family}", str(len(curve.rows)), str(len(curve.seeds)), rank, *cells])
        return header, lines

    def _order(self, curve: Curve) -> tuple[bool, float, str]:
        found = self.areas.get("Δ_T", {}).get(curve)
        return curve.unstructured, -found.mean if found else 0.0, curve.name


def delta_of(run: Run) -> float | None:
    """Mean Δ_T of a run."""
    return run.record.delta.mean if run.record.delta else None


def quantities(data: BoardRows) -> list[Quantity]:
    """Δ_T and every task's headline metric."""
    found = [Quantity("Δ_T", ", %", 2, delta_of)]
    for task in data.board.tasks:
        spec = data.headline(task)
        if spec is None:
            continue
        unit = f" {'↑' if spec.better == 'higher' else '↓'}" + (f", {spec.unit}" if spec.unit else "")
        found.append(
            Quantity(
                f"{task.name}: {spec.label}",
                unit,
                data.decimals(task.name, task.headline),
                lambda run, task=task: (  # type: ignore[misc]
                    metric.value if (metric := run.record.metrics.get(task.name, {}).get(task.headline)) else None
                ),
            )
        )
    return found


def _by_method(rows: Iterable[Row]) -> list[Curve]:
    """The rankable rows of each method, lowest sparsity first."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if may_be_ranked(row) and row.achieved:
            sparsifier = row.sparsifier
            key = [sparsifier.name, sparsifier.plugin, sparsifier.version, sparsifier.params, row.target.unstructured]
            found[canonical(key)].append(row)
    return [Curve(tuple(sorted(_with_seeds(group), key=_sparsity))) for group in found.values()]


def _with_seeds(rows: Sequence[Row]) -> Sequence[Row]:
    """A curve has the seeds that all of its budgets have: budgets with too few are left out where enough others are."""
    several = [row for row in rows if len(row.finished) >= MIN_SEEDS]
    return several if len(several) >= MIN_BUDGETS else rows


def _sparsity(row: Row) -> float:
    return row.achieved.mean if row.achieved else 0.0


def _areas(curves: Sequence[Curve], span: Span, value: Value) -> dict[Curve, Summary]:
    found = {curve: summarize(_by_seed(curve, span, value).values()) for curve in curves}
    return {curve: summary for curve, summary in found.items() if summary}


def _by_seed(curve: Curve, span: Span, value: Value) -> dict[int, float]:
    """Area of every seed that has the value at every budget."""
    points = {seed: curve.points(seed, value) for seed in curve.seeds}
    return {seed: area(found, span) for seed, found in points.items() if len(found) == len(curve.rows)}


def _ranks(curves: Sequence[Curve], span: Span) -> dict[Curve, tuple[int, int]]:
    found: dict[Curve, tuple[int, int]] = {}
    for family in (False, True):
        pool = [curve for curve in curves if curve.unstructured is family]
        ranges = rank_ranges({str(i): _by_seed(curve, span, delta_of) for i, curve in enumerate(pool)})
        found.update({pool[int(name)]: found_range for name, found_range in ranges.items()})
    return found


def _notice(every: Sequence[Curve], curves: Sequence[Curve], span: Span | None) -> str:
    most = max((len(curve.rows) for curve in every), default=0)
    if not curves:
        return (
            f"Points, not curves: {text.plural(most, 'budget')} a method at most, "
            f"and a curve with the area under it needs at least {MIN_BUDGETS}."
        )
    if span is None:
        return "No area under the curves: there is no range of sparsity that all of them reach."
    short = [curve for curve in every if curve not in curves]
    named = text.words(f"{curve.name} ({len(curve.rows)})" for curve in short)
    return f"Left out with fewer than {MIN_BUDGETS} budgets that all of a method's seeds met: {named}." if short else ""


def _printed(summary: Summary | None, quantity: Quantity) -> str:
    if summary is None:
        return text.GAP
    if quantity.name == "Δ_T":
        mean = text.signed(summary.mean, quantity.decimals)
        return f"{mean} {interval_text(summary.interval, quantity.decimals)}".rstrip()
    sd = f" ±{text.number(summary.sd, quantity.decimals)}" if summary.sd is not None else ""
    return text.number(summary.mean, quantity.decimals) + sd
