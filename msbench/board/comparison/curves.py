"""Training curves, read from a run's history: thinned for a page, and averaged over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pyarrow import parquet

from msbench.board.reading.load import Run

HISTORY: Final = "history.parquet"
"""What a run logged while it trained."""
POINTS: Final = 200
"""Points kept of one curve at most; the first and the last are always among them."""
MEAN_POINTS: Final = 100
"""Points of a mean over seeds."""

Curve = Sequence[tuple[int, float]]
"""(samples, value) in the order logged."""


@dataclass(frozen=True)
class Mean:
    """Mean and sample standard deviation (n - 1) of curves over seeds; `spreads` is None for a single seed."""

    samples: list[int]
    means: list[float]
    spreads: list[float] | None
    seeds: int


def read_curves(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Curve]:
    """Curves of a run by name, in the order that each was first logged.

    Raises OSError, ValueError, TypeError or KeyError when `folder/history.parquet` is not a readable history.
    """
    table = parquet.read_table(folder / HISTORY, columns=["samples", "name", "value"], use_threads=False).to_pydict()
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, samples, value in zip(table["name"], table["samples"], table["value"], strict=True):
        if wanted(name):
            curves.setdefault(name, []).append((int(samples), float(value)))
    return dict(curves)


def readable_curves(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> Mapping[str, Curve]:
    """Like `read_curves`; empty where the run left no readable history."""
    if not (folder / HISTORY).is_file():
        return {}  # pyarrow takes long to say so
    try:
        return read_curves(folder, wanted)
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def notice(folder: Path) -> str:
    """Why a run has no curves; empty when it has."""
    if not (folder / HISTORY).is_file():
        return "This run left no history."
    try:
        read_curves(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"history.parquet cannot be read: {type(error).__name__}: {error}"
    return ""


def thin(curve: Curve, points: int = POINTS) -> Curve:
    """At most `points` of the curve, evenly chosen, the ends among them."""
    if len(curve) <= points:
        return curve
    step = (len(curve) - 1) / (points - 1)
    return [curve[round(index * step)] for index in range(points)]


def to_the_end(curve: Curve, run: Run) -> Curve:
    """The curve of a run's sparsity, from its last value on at what was achieved: a frozen mask is not logged again."""
    budget, allowance = run.record.budget, run.record.allowance
    if not budget or budget.achieved is None or not allowance or allowance.spent <= curve[-1][0]:
        return curve
    return [*curve, (curve[-1][0], budget.achieved), (allowance.spent, budget.achieved)]


def mean_curve(curves: Sequence[Curve], points: int = MEAN_POINTS) -> Mean | None:
    """Mean over seeds at the samples of any seed that all of them reach, linear between; None without a curve.

    Values that are not finite are left out; where a curve has several values at one sample count, the last holds.
    """
    cleaned = [{samples: value for samples, value in curve if math.isfinite(value)} for curve in curves]
    kept = [np.array(sorted(curve.items()), dtype=float) for curve in cleaned if curve]
    if not kept:
        return None
    low, high = max(curve[0, 0] for curve in kept), min(curve[-1, 0] for curve in kept)
    every = sorted({int(samples) for curve in kept for samples in curve[:, 0] if low <= samples <= high})
    if not every:
        return None
    samples = [place for place, _ in thin([(place, 0.0) for place in every], points)]
    values = np.stack([np.interp(samples, curve[:, 0], curve[:, 1]) for curve in kept])
    spreads = values.std(axis=0, ddof=1).tolist() if len(kept) > 1 else None
    return Mean(samples, values.mean(axis=0).tolist(), spreads, len(kept))
