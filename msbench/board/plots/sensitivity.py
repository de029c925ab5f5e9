"""What results depend on: the sparsity of each component, and the strength λ of a method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msbench.board.comparison.grouping import canonical
from msbench.board.comparison.rows import Row
from msbench.board.plots import printed
from msbench.board.plots.frame import Figure, Trace, View, plotly_json, spread_bars
from msbench.board.plots.methods import COLORS, DASHES, SYMBOLS, Methods, delta_of
from msbench.board.plots.quality import quantities
from msbench.board.statistics import Summary, summarize

LAM: Final = "lam"
"""The parameter that holds λ by convention."""
LEAST_RANGE: Final = 0.01
"""Component sparsities that differ by less are one."""


def components(methods: Methods) -> Figure:
    """Δ_T against the sparsity of the backbone and of the heads, where the heads' sparsity varies."""
    rows = [row for row in methods.labels if row.delta_mean and _component(row, "backbone")]
    parts = {"backbone": "Backbone"} | {name: f"Head of {name.removeprefix('heads.')}" for name in _heads(rows)}
    varying = [part for part in parts if _varies(rows, part)]
    views = [_component_view(methods, part, parts[part]) for part in varying]
    return Figure(
        "components",
        "Backbone against heads",
        "Mean Δ_T over seeds against how sparse one component is: the steeper a component’s marks fall, the more "
        "its weights matter.",
        "Component",
        views if any(part != "backbone" for part in varying) else (),
    )


def strength(methods: Methods) -> Figure:
    """Δ_T, sparsity, time and tasks against λ, for methods that ran with several values of it."""
    families = _families(methods)
    measures: list[tuple[str, str, Callable[[Row], Summary | None]]] = [
        *((item.key, item.axis, item.summary) for item in quantities(methods.data)),
        ("sparsity", "Achieved sparsity, %", _percent_sparse),
        ("time", "Training time, s", lambda row: row.wall_time),
    ]
    views = [_strength_view(families, key, axis, measure) for key, axis, measure in measures] if families else []
    return Figure(
        "lambda",
        "What λ does",
        "The same method with several strengths of its penalty; mean over seeds ±1 standard deviation.",
        "Quantity",
        [view for view in views if view.numbers],
    )


def _component(row: Row, part: str) -> Summary | None:
    """Sparsity of one component over seeds."""
    return row.summary(lambda run: run.record.sparsity.per_component.get(part) if run.record.sparsity else None)


def _heads(rows: Sequence[Row]) -> list[str]:
    parts = (run.record.sparsity for row in rows for run in row.finished)
    return list(dict.fromkeys(name for part in parts if part for name in part.per_component if name != "backbone"))


def _varies(rows: Sequence[Row], part: str) -> bool:
    found = [summary.mean for row in rows if (summary := _component(row, part))]
    return len(found) > 1 and max(found) - min(found) >= LEAST_RANGE


def _component_view(methods: Methods, part: str, name: str) -> View:
    traces, numbers = [], []
    found = methods.by_label(lambda row: row.delta_mean is not None and _component(row, part) is not None)
    for label, rows in found.items():
        pairs = [(share.mean, delta) for row in rows if (share := _component(row, part)) and (delta := delta_of(row))]
        pairs.sort(key=lambda pair: pair[0])
        trace = methods.trace(
            label,
            [100 * share for share, _ in pairs],
            [delta.mean for _, delta in pairs],
            "lines+markers" if len(pairs) > 1 else "markers",
            **spread_bars([delta.sd for _, delta in pairs]),
        )
        traces.append(trace)
        numbers += [[label, printed.percent(share), *printed.summary(delta)] for share, delta in pairs]
    spec = plotly_json(traces, f"{name}: sparsity, %", "Δ_T, %")
    return View(part, name, spec, ("Method", "Sparsity, %", "Δ_T, %", *printed.SPREAD), numbers)


def _families(methods: Methods) -> dict[str, list[tuple[float, Row]]]:
    """Rows that differ in λ alone, by method, target and other parameters, least λ first."""
    groups: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    names: dict[str, str] = {}
    for row in methods.labels:
        lam = row.sparsifier.params.get(LAM)
        if isinstance(lam, int | float) and lam > 0:
            rest = {key: value for key, value in row.sparsifier.params.items() if key != LAM}
            key = canonical([row.sparsifier.name, rest, row.target.label])
            groups[key].append((float(lam), row))
            names[key] = f"{row.sparsifier.name}, {row.target.label}"
    several = {key: rows for key, rows in groups.items() if len({lam for lam, _ in rows}) > 1}
    taken = [names[key] for key in several]
    return {
        names[key] if taken.count(names[key]) == 1 else f"{names[key]} ({index + 1})": sorted(rows, key=lambda r: r[0])
        for index, (key, rows) in enumerate(several.items())
    }


def _strength_view(
    families: Mapping[str, Sequence[tuple[float, Row]]], key: str, axis: str, measure: Callable[[Row], Summary | None]
) -> View:
    traces: list[Trace] = []
    numbers = []
    for index, (name, rows) in enumerate(families.items()):
        found = [(lam, summary) for lam, row in rows if (summary := measure(row))]
        traces.append(_line(name, index, found))
        numbers += [[name, f"{lam:g}", *printed.summary(summary)] for lam, summary in found]
    log: dict[str, Any] = {"type": "log", "exponentformat": "power", "dtick": 1}
    spec = plotly_json(traces, "λ", axis, xaxis=log)
    return View(key, axis, spec, ("Method", "λ", axis, *printed.SPREAD), numbers)


def _line(name: str, index: int, found: Sequence[tuple[float, Summary]]) -> Trace:
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines+markers",
        "x": [lam for lam, _ in found],
        "y": [summary.mean for _, summary in found],
        "marker": {"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 9},
        "line": {"width": 1.7, "dash": DASHES[index // COLORS % len(DASHES)]},
        "meta": {"color": index % COLORS},
        **spread_bars([summary.sd for _, summary in found]),
    }


def _percent_sparse(row: Row) -> Summary | None:
    shares = (run.record.budget.achieved for run in row.finished if run.record.budget)
    return summarize(100 * share for share in shares if share is not None)
