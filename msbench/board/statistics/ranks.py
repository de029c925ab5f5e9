"""Rank ranges that leave close pairs undecided: paired t-tests of all pairs under Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from msbench.board.statistics.summary import MIN_SEEDS

ALPHA: Final = 0.05
"""Family-wise error rate of all pairwise comparisons of one ranking."""


def paired_p_values(scores: ArrayLike) -> NDArray[np.float64]:
    """Two-sided paired t-tests of every two methods: scores (..., methods, seeds) to p-values (..., pairs).

    Pairs are in the order of `numpy.triu_indices(methods, 1)`. NaN is a seed that a method lacks; a pair is tested
    on the seeds that both have. The p-value is 1 with fewer than `MIN_SEEDS` of them, and where the differences have
    no spread: there is no noise to test them against.
    """
    table = np.asarray(scores, dtype=float)
    differences, scale = _differences(table)
    shared = np.isfinite(differences)
    n = shared.sum(axis=-1)
    usable = n >= MIN_SEEDS
    counted = np.where(usable, n, MIN_SEEDS)
    mean = np.where(shared, differences, 0.0).sum(axis=-1) / counted
    deviations = np.where(shared, differences - mean[..., None], 0.0)
    sd = np.sqrt((deviations**2).sum(axis=-1) / (counted - 1))
    usable &= sd > 1e-9 * scale
    t = np.abs(mean) / np.where(usable, sd / np.sqrt(counted), 1.0)
    return np.asarray(np.where(usable, 2 * special.stdtr(counted - 1, -t), 1.0))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment (Holm, 1979) along the last axis, in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.arange(p.shape[-1], 0, -1)
    stepped = np.minimum(1.0, steps * np.take_along_axis(p, order, axis=-1))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return adjusted


def beaten_by(scores: ArrayLike) -> NDArray[np.bool_]:
    """Who is significantly better than whom: scores (..., methods, seeds) to [..., winner, loser].

    The better of a pair is the one with the higher mean over the seeds that both have.
    """
    table = np.asarray(scores, dtype=float)
    methods = table.shape[-2]
    first, second = np.triu_indices(methods, 1)
    significant = holm(paired_p_values(table)) < ALPHA
    differences, _ = _differences(table)
    ahead = np.where(np.isfinite(differences), differences, 0.0).sum(axis=-1) > 0
    beats = np.zeros((*table.shape[:-2], methods, methods), dtype=bool)
    beats[..., first, second] = significant & ahead
    beats[..., second, first] = significant & ~ahead
    return beats


def rank_ranges(scores: Mapping[str, Mapping[int, float]]) -> dict[str, tuple[int, int]]:
    """Rank range (best, worst) of each method from its score (higher is better) per seed.

    A method's range is [1 + methods significantly better, n - methods significantly worse]. Overlapping ranges are
    ties. Methods with fewer than `MIN_SEEDS` seeds are left out; empty when fewer than two are left or no two of them
    share that many seeds.
    """
    kept = {name: by_seed for name, by_seed in scores.items() if len(by_seed) >= MIN_SEEDS}
    seeds = sorted({seed for by_seed in kept.values() for seed in by_seed})
    if len(kept) < 2:
        return {}
    table = np.array([[by_seed.get(seed, np.nan) for seed in seeds] for by_seed in kept.values()])
    differences, _ = _differences(table)
    if np.isfinite(differences).sum(axis=-1).max() < MIN_SEEDS:
        return {}
    beats = beaten_by(table)
    better, worse = beats.sum(axis=0), beats.sum(axis=1)
    return {name: (1 + int(better[i]), len(kept) - int(worse[i])) for i, name in enumerate(kept)}


def _differences(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First minus second of every pair (..., pairs, seeds), and the greatest magnitude among the two (..., pairs)."""
    first, second = np.triu_indices(table.shape[-2], 1)
    greatest = np.where(np.isfinite(table), np.abs(table), 0.0).max(axis=-1)
    scale = np.maximum(greatest[..., first], greatest[..., second])
    return table[..., first, :] - table[..., second, :], scale
