"""Mean and spread of a figure over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from msbench.board.statistics.interval import Interval, mean_interval

MIN_SEEDS: Final = 3
"""Fewer seeds than this give neither an interval nor a rank."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) over seeds; `sd` is None for a single value."""

    mean: float
    sd: float | None
    n: int
    values: tuple[float, ...] = field(default=(), compare=False, repr=False)
    """What was summarized, one a seed."""

    @cached_property
    def interval(self) -> Interval | None:
        """95 % confidence interval of the mean; None with fewer than `MIN_SEEDS` values."""
        return mean_interval(self.values) if len(self.values) >= MIN_SEEDS else None


def summarize(values: Iterable[float]) -> Summary | None:
    """Summary of the values, or None when there is none."""
    numbers = tuple(values)
    if not numbers:
        return None
    n = len(numbers)
    mean = math.fsum(numbers) / n
    if n == 1:
        return Summary(mean, None, 1, numbers)
    return Summary(mean, math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (n - 1)), n, numbers)
