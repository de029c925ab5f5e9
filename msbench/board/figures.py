"""Figures of a board as plotly JSON, each with the numbers it is drawn from.

Colours are left to the page: a trace's `meta.color` is a place in its palette, light or dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plotly import graph_objects as go

from msbench.board import text
from msbench.board.cells import device_name
from msbench.board.columns import metric_notes
from msbench.board.load import Run
from msbench.board.ranking import BoardRows
from msbench.board.rows import Row
from msbench.board.statistics import Summary
from msbench.runs.record import LatencyPart, TaskPart

SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
COLORS: Final = 8
"""Places in the page's palette; with as many symbols, every method differs by shape as well."""


@dataclass(frozen=True)
class View:
    """One choice of a figure: plotly JSON and the numbers behind it."""

    key: str
    name: str
    spec: Mapping[str, Any]
    header: Sequence[str]
    numbers: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A figure with one or more views to choose from."""

    key: str
    title: str
    caption: str
    choice: str
    views: Sequence[View]


@dataclass(frozen=True)
class _Quantity:
    """What the vertical axis of a trade-off shows."""

    key: str
    name: str
    axis: str
    summary: Callable[[Row], Summary | None]
    value: Callable[[Run], float | None]
    constant: float | None = None


def board_figures(data: BoardRows) -> list[Figure]:
    """The figures that this board has data for."""
    return [figure for figure in (_trade_off(data), _speed(data)) if figure.views]


def plotly_json(traces: Iterable[Mapping[str, Any]], x: str, y: str, **layout: Any) -> dict[str, Any]:
    """Validated plotly JSON without colours, fonts or template."""
    frame = go.Layout(
        template="none",
        margin={"l": 60, "r": 16, "t": 8, "b": 48},
        hovermode="closest",
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        **layout,
    )
    return go.Figure(data=list(traces), layout=frame).to_plotly_json()


def _trade_off(data: BoardRows) -> Figure:
    delta = _Quantity("delta", "Δ_T, mean over tasks", "Δ_T, %", lambda row: row.delta_mean, _delta_of)
    quantities = [delta, *(_headline(data, task) for task in data.board.tasks if data.headline(task))]
    views = [_trade_off_view(data, quantity) for quantity in quantities]
    return Figure(
        "quality",
        "Quality against sparsity",
        "Each mark is a row, with ±1 standard deviation over its seeds; faint marks are the single seeds. "
        "The dashed line is the dense control.",
        "Quality",
        [view for view in views if view.numbers],
    )


def _headline(data: BoardRows, task: TaskPart) -> _Quantity:
    spec = data.headline(task)
    assert spec is not None
    return _Quantity(
        f"task.{task.name}",
        f"{task.name}: {spec.label}",
        metric_notes(spec, 1)[0],
        lambda row: row.metric(task.name, task.headline),
        lambda run: (
            run.record.metrics[task.name][task.headline].value
            if task.headline in run.record.metrics.get(task.name, {})
            else None
        ),
        spec.constant,
    )


def _trade_off_view(data: BoardRows, quantity: _Quantity) -> View:
    by_name: dict[str, list[Row]] = {}
    for row in data.shown:
        if row is not data.dense and row.achieved and quantity.summary(row):
            by_name.setdefault(row.sparsifier.name, []).append(row)
    traces, numbers = _reference_lines(data, quantity), []
    for name, style in _styles(data).items():
        rows = sorted(by_name.get(name, ()), key=_achieved)
        if rows:
            traces += [_seed_marks(rows, quantity, style), _row_marks(name, rows, quantity, style)]
        for row in rows:
            numbers.append([name, text.percent(_achieved(row), 2), *_printed(quantity.summary(row))])
    spec = plotly_json(traces, "Achieved sparsity, %", quantity.axis)
    return View(quantity.key, quantity.name, spec, ("Method", "Sparsity", quantity.name, "Spread", "Seeds"), numbers)


def _row_marks(name: str, rows: Sequence[Row], quantity: _Quantity, style: int) -> dict[str, Any]:
    summaries = [quantity.summary(row) for row in rows]
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers" if len(rows) > 1 else "markers",
        "x": [100 * _achieved(row) for row in rows],
        "y": [found.mean if found else None for found in summaries],
        "error_y": {
            "type": "data",
            "array": [(found and found.sd) or 0.0 for found in summaries],
            "width": 3,
        },
        "marker": {"symbol": SYMBOLS[style % len(SYMBOLS)], "size": 10},
        "line": {"width": 1.5},
        "meta": {"color": style % COLORS},
    }


def _seed_marks(rows: Sequence[Row], quantity: _Quantity, style: int) -> dict[str, Any]:
    marks = [
        (100 * run.record.budget.achieved, value, f"seed {run.record.seed}")
        for row in rows
        for run in row.finished
        if run.record.budget and run.record.budget.achieved is not None and (value := quantity.value(run)) is not None
    ]
    return {
        "type": "scatter",
        "name": rows[0].sparsifier.name,
        "legendgroup": rows[0].sparsifier.name,
        "showlegend": False,
        "mode": "markers",
        "x": [mark[0] for mark in marks],
        "y": [mark[1] for mark in marks],
        "text": [mark[2] for mark in marks],
        "marker": {"symbol": SYMBOLS[style % len(SYMBOLS)], "size": 5},
        "opacity": 0.4,
        "meta": {"color": style % COLORS},
    }


def _reference_lines(data: BoardRows, quantity: _Quantity) -> list[dict[str, Any]]:
    """The dense control across the plot, and the constant predictor to be switched on in the legend."""
    right = 100 * max((_achieved(row) for row in data.shown), default=0.0) + 3
    levels: list[tuple[str, float, str, bool | str]] = []
    dense = quantity.summary(data.dense) if data.dense else None
    if dense or quantity.key == "delta":
        levels.append(("dense", dense.mean if dense else 0.0, "dash", True))
    if quantity.constant is not None:
        levels.append(("constant predictor", quantity.constant, "dot", "legendonly"))
    return [
        {
            "type": "scatter",
            "name": name,
            "mode": "lines",
            "x": [0.0, right],
            "y": [level, level],
            "line": {"width": 1.2, "dash": dash},
            "visible": visible,
            "meta": {"color": "ink"},
        }
        for name, level, dash, visible in levels
    ]


def _speed(data: BoardRows) -> Figure:
    views = [_speed_view(data, device) for device in data.devices()]
    return Figure(
        "speed",
        "Measured against theoretical speed-up",
        "Bars are quartiles of the measured ratio. On the diagonal, theory comes true. "
        "Rows without a proof that the compact network is equal are left out.",
        "Device",
        [view for view in views if view.numbers],
    )


def _speed_view(data: BoardRows, device: str) -> View:
    traces: list[dict[str, Any]] = []
    numbers = []
    greatest = 1.0
    rows = [row for row in data.shown if row is not data.dense and row.proven]
    for name, style in _styles(data).items():
        found = [
            (theory.mean, parts)
            for row in rows
            if row.sparsifier.name == name
            and (theory := row.speedup(lambda part: part.theoretical))
            and (parts := row.latencies(device))
        ]
        if not found:
            continue
        traces.append(_speed_marks(name, found, style))
        for theory_mean, parts in found:
            ratio, low, high = _quartiles(parts)
            greatest = max(greatest, ratio, theory_mean)
            numbers.append([name, text.times(theory_mean), text.times(ratio), text.times(low), text.times(high)])
    diagonal = {
        "type": "scatter",
        "name": "measured = theoretical",
        "mode": "lines",
        "x": [1.0, greatest],
        "y": [1.0, greatest],
        "line": {"width": 1.2, "dash": "dash"},
        "hoverinfo": "skip",
        "meta": {"color": "ink"},
    }
    spec = plotly_json([diagonal, *traces], "Theoretical speed-up, ×", f"Measured speed-up on {device_name(device)}, ×")
    header = ("Method", "Theoretical", "Measured", "Quartile 25 %", "Quartile 75 %")
    return View(device, device_name(device), spec, header, numbers)


def _speed_marks(name: str, found: Sequence[tuple[float, Sequence[LatencyPart]]], style: int) -> dict[str, Any]:
    measured = [_quartiles(parts) for _, parts in found]
    return {
        "type": "scatter",
        "name": name,
        "mode": "markers",
        "x": [theory for theory, _ in found],
        "y": [ratio for ratio, _, _ in measured],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - ratio for ratio, _, high in measured],
            "arrayminus": [ratio - low for ratio, low, _ in measured],
            "width": 3,
        },
        "marker": {"symbol": SYMBOLS[style % len(SYMBOLS)], "size": 10},
        "meta": {"color": style % COLORS},
    }


def _quartiles(parts: Sequence[LatencyPart]) -> tuple[float, float, float]:
    """Ratio, lower and upper quartile, mean over seeds."""
    n = len(parts)
    return sum(p.ratio for p in parts) / n, sum(p.q25 for p in parts) / n, sum(p.q75 for p in parts) / n


def _styles(data: BoardRows) -> dict[str, int]:
    """Sparsifier name to its place in palette and symbols, the same in every figure of a board."""
    return {name: index for index, name in enumerate(sorted({row.sparsifier.name for row in data.rows}))}


def _achieved(row: Row) -> float:
    return row.achieved.mean if row.achieved else 0.0


def _delta_of(run: Run) -> float | None:
    return run.record.delta.mean if run.record.delta else None


def _printed(summary: Summary | None) -> list[str]:
    if summary is None:
        return [text.GAP] * 3
    decimals = text.decimals_for([summary.mean])
    spread = f"±{text.number(summary.sd, decimals)}" if summary.sd is not None else text.GAP
    return [text.number(summary.mean, decimals), spread, str(summary.n)]
