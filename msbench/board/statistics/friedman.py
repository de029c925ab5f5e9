"""Comparison over several problems: Friedman's test, and Nemenyi's critical difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of k methods on N problems, and what Nemenyi's test tells apart after it.

    Sources: Friedman (1937); Nemenyi (1963); Iman and Davenport (1980); all as in Demšar, Statistical Comparisons of
    Classifiers over Multiple Data Sets, JMLR 7, 2006.
    """

    average_ranks: tuple[float, ...]
    """In the order of the methods given; rank 1 is best, ties share their mean rank."""
    problems: int
    chi_square: float
    """Friedman's statistic, corrected for ties."""
    f: float
    """Iman and Davenport's F; infinite when all problems agree."""
    p_value: float
    """Of F with (k - 1, (k - 1)(N - 1)) degrees of freedom."""
    critical_difference: float
    """Average ranks at least this far apart differ: q sqrt(k (k + 1) / (6 N))."""
    cliques: tuple[tuple[int, ...], ...]
    """Greatest groups of methods, best first, that are not told apart; one of all when the test finds nothing."""


def friedman(scores: ArrayLike, alpha: float = 0.05) -> Friedman:
    """Test scores (problems, methods), higher is better. Needs two problems and three methods (ValueError)."""
    table = np.asarray(scores, dtype=float)
    problems, methods = table.shape
    if problems < 2 or methods < 3:
        raise ValueError("Friedman's test needs at least two problems and three methods")
    average = stats.rankdata(-table, axis=1).mean(axis=0)
    chi_square, f, p_value = 0.0, 0.0, 1.0
    if np.ptp(table, axis=1).max() > 0:  # scipy's tie correction divides by zero where nothing differs
        chi_square = float(stats.friedmanchisquare(*table.T).statistic)
        left = problems * (methods - 1) - chi_square
        f = (problems - 1) * chi_square / left if left > 1e-9 else math.inf
        p_value = float(stats.f.sf(f, methods - 1, (methods - 1) * (problems - 1)))
    difference = critical_difference(methods, problems, alpha)
    everyone = (tuple(int(index) for index in np.argsort(average, kind="stable")),)
    found = cliques(average, difference) if p_value < alpha else everyone
    return Friedman(
        tuple(float(rank) for rank in average), problems, chi_square, f, p_value, difference, found
    )  # fmt: skip


def critical_difference(methods: int, problems: int, alpha: float = 0.05) -> float:
    """Nemenyi's: the studentized range's quantile over sqrt(2), times sqrt(k (k + 1) / (6 N))."""
    q = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * problems)))


def cliques(average_ranks: ArrayLike, difference: float) -> tuple[tuple[int, ...], ...]:
    """Greatest groups of methods (places in `average_ranks`) that lie closer together than `difference`."""
    ranks = np.asarray(average_ranks, dtype=float)
    order = np.argsort(ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(order)):
        reach = int(np.searchsorted(ranks[order] - ranks[order[start]], difference, side="left"))
        if reach > end:
            found.append(tuple(int(index) for index in order[start:reach]))
            end = reach
    return tuple(found)
