"""How the methods of a board are named, coloured and chosen, the same in every figure of its page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row, Target
from msbench.board.plots.frame import Trace
from msbench.board.statistics import Summary

SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
DASHES: Final = ("solid", "dash", "dot", "dashdot")
COLORS: Final = 8
"""Places in the page's palette, and methods drawn at first: each of those has a colour of its own."""


@dataclass(frozen=True)
class Style:
    """A method's place in the palette, its marker and dash. `shown`: drawn at first, not only through the legend."""

    color: int
    symbol: str
    dash: str
    shown: bool

    @classmethod
    def at(cls, index: int) -> Style:
        """The style of the `index`-th method: 64 differ by colour and marker, lines by colour and dash."""
        turn = index // COLORS
        symbol = SYMBOLS[(index + 3 * turn) % len(SYMBOLS)]
        return cls(index % COLORS, symbol, DASHES[turn % len(DASHES)], turn == 0)


@dataclass(frozen=True)
class Methods:
    """A board's rows with the label and style of each. Labels: a name, with parameters where a name has several."""

    data: BoardRows
    labels: Mapping[Row, str]
    styles: Mapping[str, Style]

    @classmethod
    def of(cls, data: BoardRows) -> Methods:
        """Style the methods of a board: reference and best of every target first."""
        labels = _labels([row for row in data.rows if row.finished])
        ordered = dict.fromkeys(labels[row] for row in _by_merit(list(labels)))
        return cls(data, labels, {label: Style.at(index) for index, label in enumerate(ordered)})

    @property
    def targets(self) -> dict[Target, list[Row]]:
        """Rows with results by target, in the page's order."""
        found: dict[Target, list[Row]] = defaultdict(list)
        for row in self.labels:
            found[row.target].append(row)
        return dict(sorted(found.items()))

    def by_label(self, wanted: Callable[[Row], bool]) -> dict[str, list[Row]]:
        """Wanted rows of each method, lowest sparsity first; methods in the order of their styles."""
        found: dict[str, list[Row]] = {label: [] for label in self.styles}
        for row, label in self.labels.items():
            if wanted(row):
                found[label].append(row)
        return {label: sorted(rows, key=sparsity) for label, rows in found.items() if rows}

    def trace(self, label: str, x: Sequence[Any], y: Sequence[Any], mode: str, **more: Any) -> Trace:
        """A method's own trace; keywords replace its parts."""
        style = self.styles[label]
        trace: Trace = {"type": "scatter", "name": label, "legendgroup": label, "mode": mode, "x": x, "y": y}
        if "markers" in mode:
            trace["marker"] = {"symbol": style.symbol, "size": 9}
        if "lines" in mode:
            trace["line"] = {"width": 1.7, "dash": style.dash}
        trace["meta"] = {"color": style.color}
        return trace | self.hidden(label) | more

    def hidden(self, label: str) -> Trace:
        """What keeps a trace in the legend alone until it is asked for."""
        return {} if self.styles[label].shown else {"visible": "legendonly"}


def sparsity(row: Row) -> float:
    """Achieved sparsity in [0, 1], mean over seeds; 0 where none was recorded."""
    return row.achieved.mean if row.achieved else 0.0


def delta_of(row: Row) -> Summary | None:
    """Mean Δ_T over tasks, in percent."""
    return row.delta_mean


def worst_of(row: Row) -> Summary | None:
    """Δ_T of the task that lost most in each seed, in percent."""
    return row.summary(
        lambda run: min(run.record.delta.per_task.values(), default=None) if run.record.delta else None,
    )


def target_key(target: Target) -> str:
    """A target as part of a view's key."""
    return f"{target.kind}-{target.asked:g}-{'unstructured' if target.unstructured else 'structured'}"


def _labels(rows: Sequence[Row]) -> dict[Row, str]:
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_name[row.sparsifier.name].append(row)
    return {row: _label(row, by_name[row.sparsifier.name]) for row in rows}


def _label(row: Row, namesakes: Sequence[Row]) -> str:
    own = row.sparsifier.params
    differing = [key for key in own if any(other.sparsifier.params.get(key) != own[key] for other in namesakes)]
    return " ".join([row.sparsifier.name, *(f"{key}={own[key]}" for key in differing)])


def _by_merit(rows: Sequence[Row]) -> Iterable[Row]:
    """References, then the best row of every target, then the second best, and so on."""
    pools: dict[Target, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: -_merit(row)):
        pools[row.target].append(row)
    yield from (row for row in rows if row.reference)
    for rank in zip_longest(*(pool for _, pool in sorted(pools.items()))):
        yield from (row for row in rank if row)


def _merit(row: Row) -> float:
    return row.delta_mean.mean if row.delta_mean else float("-inf")
