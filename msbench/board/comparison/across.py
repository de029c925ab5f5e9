"""Comparison over several boards: Friedman's test on the methods' ranks, and Nemenyi's critical difference."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from msbench.board import text
from msbench.board.comparison.grouping import canonical
from msbench.board.comparison.ranking import BoardRows, may_be_ranked
from msbench.board.comparison.rows import Row, Target
from msbench.board.statistics import ALPHA, MIN_SEEDS, Friedman, friedman

MIN_PROBLEMS: Final = 3
"""Fewer (dataset, network) pairs than this carry no general claim (Blalock et al., 2020)."""
MIN_METHODS: Final = 3
"""Friedman's test needs three methods."""

Family = tuple[Target, str, str, str]
"""What boards must share to be compared: target, scope, unit, and meta-test."""


@dataclass(frozen=True)
class Across:
    """Methods that are on every problem of a family, best average rank first.

    problems: titles of the boards that stand for one (dataset, network) pair each. ranks: the test's outcome, its
    methods in the order of `methods`.
    """

    label: str
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    test: Friedman

    @property
    def letters(self) -> list[str]:
        """Letters of each method: two methods that share one are not told apart."""
        groups = self.test.cliques
        return ["".join(chr(ord("a") + i) for i, group in enumerate(groups) if k in group) for k in range(self._n)]

    @property
    def words(self) -> str:
        """The test in words."""
        found = self.test.p_value < ALPHA
        outcome = (
            "methods whose average ranks differ by less than the critical difference are not told apart"
            if found
            else "the test finds no difference, so no method is set apart"
        )
        p = f"p = {self.test.p_value:.3f}" if self.test.p_value >= 0.001 else "p\u00a0<\u00a00.001"
        return (
            f"{text.plural(self._n, 'method')} on {text.plural(len(self.problems), 'problem')} "
            f"({'; '.join(self.problems)}). Friedman’s test: χ² = {text.number(self.test.chi_square, 2)}, "
            f"F = {'∞' if math.isinf(self.test.f) else text.number(self.test.f, 2)}, {p}; "
            f"critical difference {text.number(self.test.critical_difference, 2)} ranks (Nemenyi, 5{text.THIN}%): "
            f"{outcome}."
        )

    @property
    def _n(self) -> int:
        return len(self.methods)


def compare(boards: Iterable[BoardRows]) -> tuple[list[Across], str]:
    """Comparisons over boards, one a family of budgets, and why there is none when there is none.

    Of several boards with the same dataset and network the one with the most methods counts: they are not independent
    problems. Smoke runs never count.
    """
    pools: dict[Family, dict[str, dict[str, float]]] = defaultdict(dict)
    for data in sorted(boards, key=lambda item: (item.board.title, item.board.slug)):
        if data.board.key.preset == "smoke":
            continue
        for family, scores in _scores(data).items():
            problem = data.board.title
            if len(scores) >= MIN_METHODS and len(scores) > len(pools[family].get(problem, ())):
                pools[family][problem] = scores
    found, most, shared = [], 0, 0
    for (target, scope, unit, meta_test), problems in sorted(pools.items()):
        common = sorted(set.intersection(*map(set, problems.values()))) if problems else []
        most, shared = max((most, shared), (len(problems), len(common)))
        if len(problems) >= MIN_PROBLEMS and len(common) >= MIN_METHODS:
            counted = "" if target.kind == 1 else f"{scope} {unit}"  # a share's label says it
            label = ", ".join(filter(None, [target.label, counted, meta_test]))
            found.append(_across(label, problems, common))
    notice = (
        f"No comparison over boards: it needs {MIN_PROBLEMS} pairs of dataset and network with {MIN_METHODS} methods "
        f"in common, each with {MIN_SEEDS} seeds under one kind of budget; there are {text.plural(most, 'such pair')} "
        f"with {text.plural(shared, 'method')} in common. Smoke runs do not count."
    )
    return found, "" if found else notice


def _scores(data: BoardRows) -> dict[Family, dict[str, float]]:
    """Mean Δ_T of each method by family; a method with fewer than `MIN_SEEDS` seeds has none."""
    found: dict[Family, dict[str, float]] = defaultdict(dict)
    key = data.board.key
    meta = next((run.record.meta_test for run in data.board.everything if run.record.meta_test), None)
    meta_test = f"meta-test {meta.mode}" if meta else ""
    for row in data.rows:
        if may_be_ranked(row) and row.delta_mean and row.delta_mean.n >= MIN_SEEDS:
            found[row.target, key.scope or "", key.unit or "", meta_test][_method(row, data.rows)] = row.delta_mean.mean
    return found


def _method(row: Row, rows: Sequence[Row]) -> str:
    """The sparsifier's name; with its parameters where a name has several."""
    sparsifier = row.sparsifier
    params = {canonical(other.sparsifier.params) for other in rows if other.sparsifier.name == sparsifier.name}
    return sparsifier.name if len(params) == 1 else f"{sparsifier.name} {canonical(sparsifier.params)}"


def _across(label: str, problems: dict[str, dict[str, float]], methods: Sequence[str]) -> Across:
    table = np.array([[scores[method] for method in methods] for scores in problems.values()])
    order = np.argsort(friedman(table).average_ranks, kind="stable")
    return Across(label, tuple(problems), tuple(methods[i] for i in order), friedman(table[:, order]))
