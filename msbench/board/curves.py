"""Training curves of one run, read from its history and thinned for a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyarrow import parquet

from msbench.board.figures import COLORS, plotly_json

POINTS: Final = 240
"""Points kept of one curve at most; the first and the last are always among them."""

Curve = Sequence[tuple[int, float]]
"""(samples, value) in the order logged."""


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis. `numbers`: per curve its name and first, least, greatest and last value."""

    title: str
    spec: Mapping[str, Any]
    numbers: Sequence[Sequence[str]]
    thinned: bool


def panels(history: Path) -> list[Panel]:
    """One panel for each prefix of names ("loss/total" and "loss/depth" share one).

    Raises OSError, ValueError, TypeError or KeyError when the file is not a readable history.
    """
    table = parquet.read_table(history).to_pydict()
    by_prefix: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, samples, value in zip(table["name"], table["samples"], table["value"], strict=True):
        prefix = name.rpartition("/")[0] or name
        by_prefix.setdefault(prefix, {}).setdefault(name, []).append((int(samples), float(value)))
    return [_panel(prefix, curves) for prefix, curves in by_prefix.items()]


def _panel(prefix: str, curves: Mapping[str, Curve]) -> Panel:
    traces = [
        _trace(name.removeprefix(f"{prefix}/"), _thin(curve), index)
        for index, (name, curve) in enumerate(curves.items())
    ]
    spec = plotly_json(traces, "", "", showlegend=len(traces) > 1)
    thinned = any(len(curve) > POINTS for curve in curves.values())
    return Panel(prefix, spec, [_numbers(name, curve) for name, curve in curves.items()], thinned)


def _trace(name: str, curve: Curve, index: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines" if len(curve) > 1 else "markers",
        "x": [samples for samples, _ in curve],
        "y": [_rounded(value) for _, value in curve],
        "line": {"width": 1.6, "dash": ("solid", "dash", "dot", "dashdot")[index // COLORS % 4]},
        "meta": {"color": index % COLORS},
    }


def _thin(curve: Curve) -> Curve:
    if len(curve) <= POINTS:
        return curve
    step = (len(curve) - 1) / (POINTS - 1)
    return [curve[round(index * step)] for index in range(POINTS)]


def _rounded(value: float) -> float | None:
    """Five significant digits; None (a break in the line) where a run diverged."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _numbers(name: str, curve: Curve) -> list[str]:
    values = [value for _, value in curve]
    return [name, *(f"{value:.4g}" for value in (values[0], min(values), max(values), values[-1]))]
