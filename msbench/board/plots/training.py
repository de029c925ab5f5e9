"""What happened while the methods of a board trained: sparsity, and the validation score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msbench.board.comparison.curves import Curve, Mean, mean_curve, readable_curves, to_the_end
from msbench.board.comparison.rows import Row, Target
from msbench.board.plots import printed
from msbench.board.plots.frame import Figure, Trace, View, band, plotly_json
from msbench.board.plots.methods import Methods, target_key
from msbench.board.reading.load import Run

SPARSITY: Final = "sparsity"
SCORE: Final = "validation/score"
REGROWN: Final = "regrown_"
"""What a method logs that lets groups grow back starts with this: such a method is shown beside the reference."""

Histories = Mapping[Row, Sequence[Mapping[str, Curve]]]
"""Of every row, the curves of each seed that left a readable history."""


def histories(methods: Methods) -> Histories:
    """The curves that this module draws, of every row with results and of the dense control."""
    rows = [row for row in (methods.data.dense, *methods.labels) if row]
    return {row: [curves for run in row.finished if (curves := _curves(run))] for row in rows}


def sparsity(methods: Methods, found: Histories) -> Figure:
    """Sparsity over training, mean over seeds, one view a target."""
    return Figure(
        "sparsity-over-training",
        "Sparsity over training",
        "Mean over seeds of what each method had removed so far, in percent of what is in scope. After a method’s last "
        "logged value, its mask is frozen: the line goes on at what was achieved.",
        "Budget",
        _views(methods, found, SPARSITY, "Sparsity, %", 100.0),
    )


def convergence(methods: Methods, found: Histories) -> Figure:
    """Validation score over training, mean over seeds with its spread, one view a target."""
    return Figure(
        "convergence",
        "Convergence",
        "The score that checkpoints are chosen by, on validation data, lower is better. Mean over seeds; bands are "
        "±1 standard deviation. The dense control is drawn in the colour of the text.",
        "Budget",
        _views(methods, found, SCORE, "Validation score", 1.0),
    )


def _curves(run: Run) -> dict[str, Curve]:
    """The run's curves; that of sparsity goes on to what was achieved, since a frozen mask is not logged again."""
    curves = dict(readable_curves(run.folder, lambda name: name in (SPARSITY, SCORE) or _regrowth(name)))
    return curves | ({SPARSITY: to_the_end(curves[SPARSITY], run)} if SPARSITY in curves else {})


def _regrowth(name: str) -> bool:
    return name.startswith(REGROWN)


def _views(methods: Methods, found: Histories, name: str, axis: str, factor: float) -> list[View]:
    views = [_view(methods, found, target, rows, name, axis, factor) for target, rows in methods.targets.items()]
    return [view for view in views if view.numbers]


def _view(
    methods: Methods, found: Histories, target: Target, rows: Sequence[Row], name: str, axis: str, factor: float
) -> View:
    traces: list[Trace] = []
    numbers: list[list[str]] = []
    for label, (row, *_) in methods.by_label(lambda row: row in rows).items():
        mean = _mean(found[row], name)
        if mean is None:
            continue
        line = methods.trace(label, mean.samples, [factor * value for value in mean.means], "lines")
        if name == SPARSITY:
            line["line"]["shape"] = "hv"
        if any(_regrowth(logged) for curves in found[row] for logged in curves):
            line["visible"] = True
        traces += _with_band(line, mean, factor) if name == SCORE else [line]
        numbers.append(_numbers(label, mean, factor))
    dense = _mean(found.get(methods.data.dense, ()), name) if methods.data.dense and name == SCORE else None
    if dense and numbers:
        traces.insert(0, _dense(dense, factor))
        numbers.insert(0, _numbers("dense", dense, factor))
    spec = plotly_json(traces, "Training samples seen", axis)
    header = ("Method", "First", "Least", "Greatest", "Last", "Seeds")
    return View(target_key(target), target.label, spec, header, numbers)


def _mean(runs: Sequence[Mapping[str, Curve]], name: str) -> Mean | None:
    return mean_curve([curves[name] for curves in runs if name in curves])


def _with_band(line: Trace, mean: Mean, factor: float) -> list[Trace]:
    if mean.spreads is None:
        return [line]
    return [band(line, mean.samples, line["y"], [factor * spread for spread in mean.spreads]), line]


def _dense(mean: Mean, factor: float) -> Trace:
    return {
        "type": "scatter",
        "name": "dense",
        "mode": "lines",
        "x": mean.samples,
        "y": [factor * value for value in mean.means],
        "line": {"width": 1.7, "dash": "dash"},
        "meta": {"color": "ink"},
    }


def _numbers(label: str, mean: Mean, factor: float) -> list[str]:
    values = [factor * value for value in mean.means]
    return [label, *printed.shortly((values[0], min(values), max(values), values[-1])), str(mean.seeds)]
