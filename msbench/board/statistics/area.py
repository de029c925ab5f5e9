"""Area under a curve of quality against sparsity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

Points = Sequence[tuple[float, float]]
"""(sparsity, quality)."""


class Span(NamedTuple):
    """A range of sparsity, shares in [0, 1]."""

    low: float
    high: float


def common_span(curves: Iterable[Points]) -> Span | None:
    """The sparsities that every curve reaches; None when there are none."""
    curves = list(curves)
    if not curves or not all(curves):
        return None
    low = max(min(x for x, _ in curve) for curve in curves)
    high = min(max(x for x, _ in curve) for curve in curves)
    return Span(low, high) if low < high else None


def area(points: Points, span: Span) -> float:
    """Area under straight lines between the points, over `span`, divided by its length: the mean height.

    Trapezoid rule; values at the ends of the span are interpolated. Points of equal sparsity count as their mean.
    The span must lie within the points'.
    """
    known = np.unique([x for x, _ in points])
    heights = np.array([np.mean([y for x, y in points if x == place]) for place in known])
    inner = known[(known > span.low) & (known < span.high)]
    places = np.concatenate(([span.low], inner, [span.high]))
    return float(np.trapezoid(np.interp(places, known, heights), places) / (span.high - span.low))
