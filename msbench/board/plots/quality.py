"""Quality against sparsity: every method in one plot, and one method's tasks side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row
from msbench.board.plots import printed
from msbench.board.plots.frame import Figure, Trace, View, band, level, plotly_json, spread_bars
from msbench.board.plots.methods import DASHES, SYMBOLS, Methods, delta_of, sparsity
from msbench.board.reading.load import Run
from msbench.board.statistics import Summary
from msbench.board.table.columns import metric_notes
from msbench.records.record import TaskPart

NOTHING: Final = 1e-3
"""Sparsities below this are none."""


@dataclass(frozen=True)
class Quantity:
    """What an axis shows: of a row over seeds, and of one run. `better`: the direction, of a metric."""

    key: str
    name: str
    axis: str
    summary: Callable[[Row], Summary | None]
    value: Callable[[Run], float | None]
    constant: float | None = None
    better: str = "higher"


def quantities(data: BoardRows) -> list[Quantity]:
    """Mean Δ_T and every task's headline metric."""
    delta = Quantity("delta", "Δ_T, mean over tasks", "Δ_T, %", delta_of, _delta_of_run)
    return [delta, *(_headline(data, task) for task in data.board.tasks if data.headline(task))]


def trade_off(methods: Methods) -> Figure:
    """Δ_T and each task's headline metric against achieved sparsity."""
    views = [_trade_off_view(methods, quantity) for quantity in quantities(methods.data)]
    return Figure(
        "quality",
        "Quality against sparsity",
        "Means over seeds, ±1 standard deviation as a bar, or as a band along a method’s budgets; faint marks are "
        "the single seeds. The dashed line is the dense control; a method that removes nothing is a line, too.",
        "Quality",
        [view for view in views if view.numbers],
    )


def tasks_of_method(methods: Methods) -> Figure:
    """Δ_T of each task against sparsity, one method a view; only of methods with several budgets."""
    found = methods.by_label(lambda row: row.achieved is not None and row.delta_mean is not None)
    views = [_tasks_view(methods, label, rows) for label, rows in found.items() if _several(rows)]
    return Figure(
        "tasks-of-method",
        "Each task against sparsity",
        "Change of each task against the dense run of the same seed, positive is better; bands are ±1 standard "
        "deviation over seeds.",
        "Method",
        views if len(methods.data.board.tasks) > 1 else (),
    )


def _headline(data: BoardRows, task: TaskPart) -> Quantity:
    spec = data.headline(task)
    assert spec is not None
    return Quantity(
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
        spec.better,
    )


def _trade_off_view(methods: Methods, quantity: Quantity) -> View:
    found = methods.by_label(lambda row: row.achieved is not None and quantity.summary(row) is not None)
    along = _span([row for rows in found.values() for row in rows])
    traces, numbers = _reference_lines(methods.data, quantity, along), []
    for label, rows in found.items():
        summaries = [summary for row in rows if (summary := quantity.summary(row))]
        if _removes_nothing(rows):
            traces.append(_level_of(methods, label, summaries[0].mean, along))
        else:
            traces += [*_spread(methods, label, rows, summaries), _seeds(methods, label, rows, quantity)]
        numbers += [
            [label, printed.percent(sparsity(row)), *printed.summary(summary)]
            for row, summary in zip(rows, summaries, strict=True)
        ]
    spec = plotly_json(traces, "Achieved sparsity, %", quantity.axis)
    return View(quantity.key, quantity.name, spec, ("Method", "Sparsity, %", quantity.name, *printed.SPREAD), numbers)


def _spread(methods: Methods, label: str, rows: Sequence[Row], summaries: Sequence[Summary]) -> list[Trace]:
    """The means, with a band where there is a line and every point has a spread, with bars otherwise."""
    x = [100 * sparsity(row) for row in rows]
    means = [summary.mean for summary in summaries]
    mode = "lines+markers" if len(rows) > 1 else "markers"
    if len(rows) > 1 and all(summary.sd is not None for summary in summaries):
        line = methods.trace(label, x, means, mode)
        return [band(line, x, means, [summary.sd or 0.0 for summary in summaries]), line]
    return [methods.trace(label, x, means, mode, **spread_bars([summary.sd for summary in summaries]))]


def _seeds(methods: Methods, label: str, rows: Sequence[Row], quantity: Quantity) -> Trace:
    marks = [
        (100 * run.record.budget.achieved, value, f"seed {run.record.seed}")
        for row in rows
        for run in row.finished
        if run.record.budget and run.record.budget.achieved is not None and (value := quantity.value(run)) is not None
    ]
    x, y, names = zip(*marks, strict=True) if marks else ((), (), ())
    marker = {"symbol": methods.styles[label].symbol, "size": 4}
    return methods.trace(label, x, y, "markers", text=names, marker=marker, opacity=0.4, showlegend=False)


def _removes_nothing(rows: Sequence[Row]) -> bool:
    return all(sparsity(row) < NOTHING for row in rows)


def _span(rows: Sequence[Row]) -> tuple[float, float]:
    """The sparsities in percent that marks are drawn at, with some room."""
    places = [100 * sparsity(row) for row in rows if sparsity(row) >= NOTHING] or [0.0]
    room = 0.05 * (max(places) - min(places)) + 1
    return min(places) - room, max(places) + room


def _level_of(methods: Methods, label: str, place: float, along: tuple[float, float]) -> Trace:
    """A method that removes nothing has no place on the axis of sparsity: it is a line across."""
    style = methods.styles[label]
    line = level(label, place, along, dash="longdash")
    return line | {"meta": {"color": style.color}, "legendgroup": label} | methods.hidden(label)


def _reference_lines(data: BoardRows, quantity: Quantity, along: tuple[float, float]) -> list[Trace]:
    """The dense control across the plot, and the constant predictor to be switched on in the legend."""
    dense = quantity.summary(data.dense) if data.dense else None
    lines = []
    if dense or quantity.key == "delta":
        lines.append(level("dense", dense.mean if dense else 0.0, along))
    if quantity.constant is not None:
        lines.append(level("constant predictor", quantity.constant, along, dash="dot") | {"visible": "legendonly"})
    return lines


def _several(rows: Sequence[Row]) -> bool:
    """Whether the rows reach sparsities that differ by a point or more."""
    return sparsity(rows[-1]) - sparsity(rows[0]) >= 0.01


def _tasks_view(methods: Methods, label: str, rows: Sequence[Row]) -> View:
    x = [100 * sparsity(row) for row in rows]
    traces, numbers = [level("dense", 0.0, (x[0], x[-1]))], []
    for index, task in enumerate(methods.data.board.tasks):
        found = [(place, summary) for place, row in zip(x, rows, strict=True) if (summary := row.task_delta(task.name))]
        places, means = [place for place, _ in found], [summary.mean for _, summary in found]
        line = _task_look(task.name, index) | {"x": places, "y": means}
        if all(summary.sd is not None for _, summary in found):
            traces.append(band(line, places, means, [summary.sd or 0.0 for _, summary in found]))
        traces.append(line)
        numbers += [[task.name, printed.percent(place / 100), *printed.summary(summary)] for place, summary in found]
    spec = plotly_json(traces, "Achieved sparsity, %", "Δ_T of the task, %")
    return View(f"method.{label}", label, spec, ("Task", "Sparsity, %", "Δ_T, %", *printed.SPREAD), numbers)


def _task_look(name: str, index: int) -> Trace:
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers",
        "marker": {"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 8},
        "line": {"width": 1.7, "dash": DASHES[index % len(DASHES)]},
        "meta": {"color": index % len(SYMBOLS)},
    }


def _delta_of_run(run: Run) -> float | None:
    return run.record.delta.mean if run.record.delta else None
