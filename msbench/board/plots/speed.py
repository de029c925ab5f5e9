"""Speed: quality against the measured speed-up with its Pareto front, and theory against measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msbench.board import text
from msbench.board.comparison.rows import Row
from msbench.board.plots.frame import Figure, Trace, View, plotly_json, spread_bars
from msbench.board.plots.methods import Methods, delta_of, worst_of
from msbench.board.statistics import Summary
from msbench.board.table.cells import device_name
from msbench.records.record import LatencyPart, SpeedupPart

NAME_WIDTH: Final = 0.3
NAME_HEIGHT: Final = 0.1
"""Room that a point's name takes, as a share of the plot: names that would lie on each other are left to the hover."""
LOG_FROM: Final = 8.0
"""Ratio of greatest to least speed-up from which the axes are logarithmic."""


@dataclass(frozen=True)
class Point:
    """A row in the plane of speed-up and quality; the dense control has no row."""

    label: str
    speed: float
    quality: float
    row: Row | None = None


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats or equals in both coordinates and beats in one; by x."""

    def beaten(index: int) -> bool:
        x, y = points[index]
        return any(a >= x and b >= y and (a > x or b > y) for a, b in points)

    return sorted((i for i in range(len(points)) if not beaten(i)), key=lambda i: points[i])


def front(methods: Methods) -> Figure:
    """Worst-task change and mean Δ_T against the measured speed-up, one view a device and quality."""
    qualities: list[tuple[str, str, Callable[[Row], Summary | None]]] = [
        ("worst", "worst task’s Δ_T", worst_of),
        ("delta", "Δ_T, mean over tasks", delta_of),
    ]
    views = [
        _front_view(methods, device, f"{key}.{device}", name, quality)
        for device in methods.data.devices()
        for key, name, quality in qualities
    ]
    return Figure(
        "front",
        "Quality against measured speed-up",
        "The line is the Pareto front: no row is both faster and better than a row on it. The dense control is the "
        "circle at 1×. Bars are ±1 standard deviation over seeds, and the quartiles of the ratio. Rows without a "
        "proof that the compact network is equal are left out.",
        "Quality",
        [view for view in views if len(view.numbers) > 1],
    )


def theory(methods: Methods) -> Figure:
    """Measured against theoretical speed-up, one view a device and kind of theory."""
    kinds: list[tuple[str, str, Callable[[SpeedupPart], float | None]]] = [
        ("theoretical", "FLOPs of kept channels", lambda part: part.theoretical),
        ("macs", "multiply-adds", lambda part: part.macs),
    ]
    views = [
        _theory_view(methods, device, key, name, value)
        for device in methods.data.devices()
        for key, name, value in kinds
    ]
    return Figure(
        "speed",
        "Measured against theoretical speed-up",
        "On the diagonal, theory comes true. Bars are quartiles of the measured ratio. Theory is the papers’ ratio "
        "of FLOPs by kept channels, or multiply-adds counted in the compact network. Rows without a proof that the "
        "compact network is equal are left out.",
        "Theory",
        [view for view in views if view.numbers],
    )


def _front_view(methods: Methods, device: str, key: str, name: str, quality: Callable[[Row], Summary | None]) -> View:
    found = methods.by_label(lambda row: row.proven and bool(row.latencies(device)) and quality(row) is not None)
    points = [Point("dense", 1.0, 0.0)] + [
        Point(label, _quartiles(row.latencies(device))[0], summary.mean, row)
        for label, rows in found.items()
        for row in rows
        if (summary := quality(row))
    ]
    chosen = pareto_front([(point.speed, point.quality) for point in points])
    best = {points[index].label for index in chosen}
    traces = [_front_line([points[index] for index in chosen]), _dense_mark()]
    for label, rows in found.items():
        marks = _marks(methods, label, rows, device, [summary for row in rows if (summary := quality(row))])
        traces.append(marks | {"visible": True} if label in best else marks)
    numbers = [_front_line_of_table(point, index in chosen, device) for index, point in enumerate(points)]
    axis = f"Measured speed-up on {device_name(device)}, ×"
    spec = plotly_json(traces, axis, f"{name[:1].upper()}{name[1:]}, %", xaxis=_scale([p.speed for p in points]))
    header = ("Method", "Budget", "Speed-up, ×", "Quartile 25 %", "Quartile 75 %", "Δ_T, %", "On the front")
    return View(key, f"{name}, {device_name(device)}", spec, header, numbers)


def _front_line(points: Sequence[Point]) -> Trace:
    """A staircase: what is to be had at least as fast; its corners are named where they are few."""
    turn = points[0].speed + 0.6 * (points[-1].speed - points[0].speed)
    return {
        "type": "scatter",
        "name": "Pareto front",
        "mode": "lines+text",
        "x": [point.speed for point in points],
        "y": [point.quality for point in points],
        "text": _names(points),
        "textposition": ["top left" if point.speed > turn else "top right" for point in points],
        "cliponaxis": False,
        "line": {"width": 2, "shape": "vh"},
        "hoverinfo": "skip",
        "meta": {"color": "ink"},
    }


def _names(points: Sequence[Point]) -> list[str]:
    """Names of the points, fastest first, that have room beside those already named; empty for the rest."""
    width = max(p.speed for p in points) - min(p.speed for p in points) or 1.0
    height = max(p.quality for p in points) - min(p.quality for p in points) or 1.0
    named: list[Point] = []
    for point in reversed(points):
        near = (
            abs(point.speed - other.speed) < NAME_WIDTH * width
            and abs(point.quality - other.quality) < NAME_HEIGHT * height
            for other in named
        )
        if not any(near):
            named.append(point)
    return [point.label if point in named else "" for point in points]


def _dense_mark() -> Trace:
    mark = {"symbol": "circle-open", "size": 10}
    return {
        "type": "scatter",
        "name": "dense",
        "mode": "markers",
        "x": [1.0],
        "y": [0.0],
        "marker": mark,
        "meta": {"color": "ink"},
    }


def _marks(methods: Methods, label: str, rows: Sequence[Row], device: str, qualities: Sequence[Summary]) -> Trace:
    measured = [_quartiles(row.latencies(device)) for row in rows]
    trace = methods.trace(label, [ratio for ratio, _, _ in measured], [found.mean for found in qualities], "markers")
    trace["text"] = [row.target.label for row in rows]
    trace["error_x"] = _bars(measured)
    return trace | spread_bars([found.sd for found in qualities])


def _front_line_of_table(point: Point, chosen: bool, device: str) -> list[str]:
    tail = [text.number(point.quality, 2), "yes" if chosen else "no"]
    if point.row is None:
        return [point.label, text.GAP, "1.00", text.GAP, text.GAP, *tail]
    numbers = [text.number(value, 2) for value in _quartiles(point.row.latencies(device))]
    return [point.label, point.row.target.label, *numbers, *tail]


def _theory_view(
    methods: Methods, device: str, key: str, name: str, value: Callable[[SpeedupPart], float | None]
) -> View:
    found = methods.by_label(lambda row: row.proven and bool(row.latencies(device)) and bool(row.speedup(value)))
    traces: list[Trace] = []
    numbers: list[list[str]] = []
    theories, ratios = [1.0], [1.0]
    for label, rows in found.items():
        expected = [summary.mean for row in rows if (summary := row.speedup(value))]
        measured = [_quartiles(row.latencies(device)) for row in rows]
        trace = methods.trace(label, expected, [ratio for ratio, _, _ in measured], "markers")
        traces.append(trace | {"text": [row.target.label for row in rows], "error_y": _bars(measured)})
        theories += expected
        ratios += [ratio for ratio, _, _ in measured]
        numbers += [
            [label, row.target.label, text.number(theoretical, 2), *(text.number(part, 2) for part in parts)]
            for row, theoretical, parts in zip(rows, expected, measured, strict=True)
        ]
    spec = plotly_json(
        [_diagonal(min(ratios), 1.1 * max(ratios)), *traces],
        f"Theoretical speed-up by {name}, ×",
        f"Measured speed-up on {device_name(device)}, ×",
        xaxis=_scale(theories),
        yaxis=_scale(ratios),
    )
    header = ("Method", "Budget", "Theoretical, ×", "Measured, ×", "Quartile 25 %", "Quartile 75 %")
    return View(f"{key}.{device}", f"{name}, {device_name(device)}", spec, header, numbers)


def _diagonal(least: float, greatest: float) -> Trace:
    return {
        "type": "scatter",
        "name": "measured = theoretical",
        "mode": "lines",
        "x": [least, greatest],
        "y": [least, greatest],
        "line": {"width": 1.2, "dash": "dash"},
        "hoverinfo": "skip",
        "meta": {"color": "ink"},
    }


def _bars(measured: Sequence[tuple[float, float, float]]) -> Trace:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - ratio for ratio, _, high in measured],
        "arrayminus": [ratio - low for ratio, low, _ in measured],
        "width": 3,
    }


def _scale(ratios: Sequence[float]) -> dict[str, Any]:
    least, most = min(ratios), max(ratios)
    if least <= 0 or most / least < LOG_FROM:
        return {}
    decades = range(math.floor(math.log10(least)), math.floor(math.log10(most)) + 1)
    # Plotly's own ticks of a logarithmic axis write 2 and 5 like exponents, smaller than the powers of ten.
    return {"type": "log", "tickvals": [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]}


def _quartiles(parts: Sequence[LatencyPart]) -> tuple[float, float, float]:
    """Ratio, lower and upper quartile, mean over seeds."""
    n = len(parts)
    return sum(p.ratio for p in parts) / n, sum(p.q25 for p in parts) / n, sum(p.q75 for p in parts) / n
