"""Confidence intervals of a mean over seeds, for samples as small as three."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL: Final = 0.95
"""Confidence of every interval."""
MIN_BOOTSTRAP: Final = 10
"""Fewest values that are resampled. A resample's mean never leaves the range of the values, which covers the centre of
a symmetric population with probability 1 - 2^(1 - n): 75 % for three values, 93.75 % for five. On normal values the
interval below reaches 92 % at five, 94 % at seven and its level at ten."""
RESAMPLES: Final = 9999


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean at `LEVEL`, and how it was made."""

    low: float
    high: float
    method: Literal["t", "bootstrap"]

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a point in common."""
        return self.low <= other.high and other.low <= self.high


def mean_interval(values: Sequence[float]) -> Interval:
    """Interval of the mean: Student's below `MIN_BOOTSTRAP` values, from there on a bootstrap. Needs two values.

    The bootstrap is the expanded percentile interval (Hesterberg, What Teachers Should Know About the Bootstrap, The
    American Statistician 69, 2015): plain percentiles are too narrow by sqrt((n - 1) / n) and use normal in place of t
    quantiles, so the tail probability is Phi(-sqrt(n / (n - 1)) t) instead. The resamples are the same in every call.
    """
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if n < MIN_BOOTSTRAP:
        centre, half = float(sample.mean()), _quantile(n) * float(sample.std(ddof=1)) / math.sqrt(n)
        return Interval(centre - half, centre + half, "t")
    tail = expanded_tail(n)
    low, high = np.quantile(_weights(n) @ sample, [tail, 1 - tail])
    return Interval(float(low), float(high), "bootstrap")


def expanded_tail(n: int) -> float:
    """Probability left out at each end of the bootstrap distribution of `n` values."""
    quantile = stats.t.isf((1 - LEVEL) / 2, n - 1)
    return float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * quantile))


@cache
def _quantile(n: int) -> float:
    """Student's quantile for the mean of `n` values."""
    return float(stats.t.isf((1 - LEVEL) / 2, n - 1))


@cache
def _weights(n: int) -> NDArray[np.float64]:
    """Share of each of `n` values in each resample: (RESAMPLES, n), from a fixed seed."""
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    weights.setflags(write=False)
    return weights
