"""Bars of one target's methods: quality of each task with its spread over seeds, and how far the budget was missed."""

from __future__ import annotations

from collections.abc import Sequence

from msbench.board import text
from msbench.board.comparison.rows import Row, Target
from msbench.board.plots import printed
from msbench.board.plots.frame import Figure, Trace, View, category_axis, level, plotly_json, rows_height, spread_bars
from msbench.board.plots.methods import Methods, target_key
from msbench.board.plots.quality import Quantity, quantities
from msbench.board.statistics import Summary


def tasks(methods: Methods) -> Figure:
    """Mean and standard deviation of each quality, one view a target and quality, best row on top."""
    views = [
        _task_view(methods, target, rows, quantity)
        for target, rows in methods.targets.items()
        for quantity in quantities(methods.data)
    ]
    return Figure(
        "bars",
        "Each task by method",
        "Means over seeds with ±1 standard deviation, best on top. The dashed line is the dense control, the dotted "
        "one the best constant prediction.",
        "Budget and task",
        [view for view in views if view.numbers],
    )


def budget_error(methods: Methods) -> Figure:
    """Achieved minus asked sparsity of every seed, in percentage points, with the tolerance as a band."""
    views = [_error_view(methods, target, rows) for target, rows in methods.targets.items()]
    return Figure(
        "budget",
        "How exactly the budget was met",
        "Achieved minus asked sparsity in percentage points, one mark a seed; inside the band is within tolerance.",
        "Budget",
        [view for view in views if view.numbers],
    )


def _task_view(methods: Methods, target: Target, rows: Sequence[Row], quantity: Quantity) -> View:
    found = [(row, summary) for row in rows if (summary := quantity.summary(row))]
    found.sort(key=lambda pair: pair[1].mean, reverse=quantity.better == "higher")
    labels = [methods.labels[row] for row, _ in found]
    summaries = [summary for _, summary in found]
    traces = [_bar(methods, labels, summaries), *_levels(methods, quantity, labels)]
    spec = plotly_json(traces, quantity.axis, "", yaxis=category_axis(), showlegend=False, bargap=0.35)
    numbers = [[label, *printed.summary(summary)] for label, summary in zip(labels, summaries, strict=True)]
    name = f"{target.label}; {quantity.name}"
    header = ("Method", quantity.axis, *printed.SPREAD)
    return View(f"{target_key(target)}.{quantity.key}", name, spec, header, numbers, rows_height(len(labels)))


def _bar(methods: Methods, labels: Sequence[str], summaries: Sequence[Summary]) -> Trace:
    return {
        "type": "bar",
        "orientation": "h",
        "name": "mean over seeds",
        "x": [summary.mean for summary in summaries],
        "y": list(labels),
        "meta": {"color": [_bar_color(methods, label) for label in labels], "bars": "ink"},
        **spread_bars([summary.sd for summary in summaries], "error_x"),
    }


def _bar_color(methods: Methods, label: str) -> int | str:
    style = methods.styles[label]
    return style.color if style.shown else "mute"


def _levels(methods: Methods, quantity: Quantity, labels: Sequence[str]) -> list[Trace]:
    if not labels:
        return []
    dense = quantity.summary(methods.data.dense) if methods.data.dense else None
    levels = [("dense", dense.mean, "dash")] if dense else []
    levels += [("constant predictor", quantity.constant, "dot")] if quantity.constant is not None else []
    along = (labels[0], labels[-1])
    return [level(name, place, along, dash=dash, upright=True) for name, place, dash in levels]


def _error_view(methods: Methods, target: Target, rows: Sequence[Row]) -> View:
    errors = {row: _errors(row) for row in rows}
    found = sorted((row for row in rows if errors[row]), key=lambda row: -max(map(abs, errors[row])))
    traces, numbers = [], []
    for row in found:
        label = methods.labels[row]
        trace = methods.trace(label, errors[row], [label] * len(errors[row]), "markers", visible=True)
        color = _bar_color(methods, label)
        traces.append(trace | {"meta": {"color": color}})
        low, high = min(errors[row]), max(errors[row])
        numbers.append([label, *(text.signed(error, 3) for error in (low, high)), str(len(errors[row]))])
    tolerance = 100 * max((row.budget.tolerance for row in found if row.budget), default=0.0)
    reach = 1.15 * max([tolerance, *(abs(error) for row in found for error in errors[row])], default=1.0)
    band = {"type": "rect", "xref": "x", "yref": "paper", "x0": -tolerance, "x1": tolerance, "y0": 0, "y1": 1}
    spec = plotly_json(
        traces,
        "Achieved minus asked, points",
        "",
        xaxis={"range": [-reach, reach]},
        yaxis=category_axis(),
        shapes=[band | {"layer": "below", "line": {"width": 0}}],
        showlegend=False,
    )
    header = ("Method", "Least, points", "Greatest, points", "Seeds")
    return View(target_key(target), target.label, spec, header, numbers, rows_height(len(found)))


def _errors(row: Row) -> list[float]:
    budgets = [run.record.budget for run in row.finished if run.record.budget]
    return [
        100 * (budget.achieved - budget.asked)
        for budget in budgets
        if budget.achieved is not None and budget.asked is not None
    ]
