"""The board's statistics: mean and spread over seeds, and rank ranges that leave close pairs undecided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from scipy import stats

MIN_SEEDS: Final = 3
"""Fewer paired seeds than this give no ranking."""
ALPHA: Final = 0.05
"""Family-wise error rate of all pairwise comparisons of one ranking."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) over seeds; `sd` is None for a single value."""

    mean: float
    sd: float | None
    n: int


def summarize(values: Iterable[float]) -> Summary | None:
    """Summary of the values, or None when there is none."""
    numbers = list(values)
    if not numbers:
        return None
    n = len(numbers)
    mean = math.fsum(numbers) / n
    if n == 1:
        return Summary(mean, None, 1)
    return Summary(mean, math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (n - 1)), n)


def paired_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided paired t-test. Differences without any spread give 1: no noise to test them against."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    spread = max(differences) - min(differences)
    scale = max(abs(value) for value in (*first, *second))
    if spread <= 1e-9 * scale:
        return 1.0
    return float(stats.ttest_rel(first, second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm, 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for done, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = running
    return adjusted


def rank_ranges(scores: Mapping[str, Mapping[int, float]]) -> dict[str, tuple[int, int]]:
    """Rank range (best, worst) of each method from its score (higher is better) per seed.

    A method's range is [1 + methods significantly better, n - methods significantly worse]: paired t-tests
    over the seeds that all methods share, Holm-adjusted. Overlapping ranges are ties. Empty when there are
    fewer than two methods or fewer than `MIN_SEEDS` shared seeds.
    """
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in scores.values()))) if scores else []
    if len(scores) < 2 or len(seeds) < MIN_SEEDS:
        return {}

    # Test every pair once.
    pairs = list(combinations(scores, 2))
    columns = {name: [by_seed[seed] for seed in seeds] for name, by_seed in scores.items()}
    p_values = holm([paired_p_value(columns[a], columns[b]) for a, b in pairs])

    # Count who is beaten by whom.
    better, worse = dict.fromkeys(scores, 0), dict.fromkeys(scores, 0)
    for (a, b), p_value in zip(pairs, p_values, strict=True):
        if p_value < ALPHA:
            winner, loser = (a, b) if sum(columns[a]) > sum(columns[b]) else (b, a)
            worse[winner] += 1
            better[loser] += 1
    return {name: (1 + better[name], len(scores) - worse[name]) for name in scores}
