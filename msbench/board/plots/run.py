"""Figures of one run: what was kept, layer by layer, and how it trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msbench.board import text
from msbench.board.comparison.curves import Curve, readable_curves, thin, to_the_end
from msbench.board.plots import printed
from msbench.board.plots.frame import Figure, Trace, View, plotly_json
from msbench.board.plots.methods import COLORS, DASHES
from msbench.board.reading.load import Run
from msbench.records.record import MetricValue, SparsityPart

_HEADER: Final = ("Curve", "First", "Least", "Greatest", "Last", "Values")
_KNOWN: Final = {"loss": "Training loss", "loss_weight": "Weights of the tasks’ losses", "lambda": "λ"}
"""Titles of what is logged under names of its own; the rest goes by its name."""
THINNED: Final = "Long curves are thinned here; history.parquet has every value."


def run_figures(run: Run, dense: Run | None = None) -> list[Figure]:
    """Figures that a run has data for; `dense` is the run that it is compared with, drawn beside it."""
    curves = readable_curves(run.folder)
    beside = readable_curves(dense.folder, _validation) if dense and dense is not run else {}
    figures = [
        _layers(run.record.sparsity),
        _validation_figure(run, curves, beside),
        _losses(run, curves),
        _sparsity(run, curves),
        _settings(run, curves),
    ]
    return [figure for figure in figures if figure.views]


def _layers(sparsity: SparsityPart | None) -> Figure:
    """Input channels of each layer before and after, and the share of its weights that is left."""
    views = []
    if sparsity and any(kept < total for kept, total in sparsity.channels.values()):
        views.append(_channels_view(sparsity.channels))
    if sparsity and any(sparsity.per_layer.values()):
        views.append(_weights_view(sparsity.per_layer))
    caption = "Layers in the network’s order; the outline is the dense network, filled is what was kept."
    return Figure("layers", "What was kept, layer by layer", caption, "Of", views)


def _channels_view(channels: Mapping[str, Sequence[int]]) -> View:
    kept = [pair[0] for pair in channels.values()]
    total = [pair[1] for pair in channels.values()]
    spec = _layer_spec(list(channels), kept, total, "Input channels")
    numbers = [[name, str(k), str(t)] for name, (k, t) in channels.items()]
    return View("channels", "input channels", spec, ("Layer", "Channels kept", "Of"), numbers)


def _weights_view(per_layer: Mapping[str, float]) -> View:
    kept = [100 * (1 - share) for share in per_layer.values()]
    spec = _layer_spec(list(per_layer), kept, [100.0] * len(kept), "Weights kept, %")
    numbers = [[name, text.number(share, 2)] for name, share in zip(per_layer, kept, strict=True)]
    return View("weights", "weights", spec, ("Layer", "Weights kept, %"), numbers)


def _layer_spec(names: Sequence[str], kept: Sequence[float], total: Sequence[float], axis: str) -> dict[str, object]:
    places = list(range(1, len(names) + 1))
    bar = {"type": "bar", "x": places, "text": names, "textposition": "none"}
    before = {**bar, "name": "dense", "y": total, "meta": {"color": "ink", "outline": True}}
    after = {**bar, "name": "kept", "y": kept, "meta": {"color": 0}}
    return plotly_json([before, after], "Layer, from input to output", axis, barmode="overlay", bargap=0.25)


def _validation_figure(run: Run, curves: Mapping[str, Curve], beside: Mapping[str, Curve]) -> Figure:
    names = sorted((name for name in curves if _validation(name)), key=_validation_order(run))
    views = []
    for name in names:
        specs = _metric(run, name)
        title = f"{name.split('/')[1]}: {specs.label}" if specs else name.removeprefix("validation/")
        unit = f"{title} {'↑' if specs.better == 'higher' else '↓'}" if specs else f"{title} ↓"
        shown = {"this run": curves[name]} | ({"dense": beside[name]} if name in beside else {})
        views.append(_view(name, title, shown, unit + (f", {specs.unit}" if specs and specs.unit else "")))
    caption = "On validation data, while training; the arrow says which way is better."
    return Figure("validation", "Validation", caption, "Metric", views)


def _losses(run: Run, curves: Mapping[str, Curve]) -> Figure:
    views = [_view(prefix, _title(prefix), found, _title(prefix)) for prefix, found in _by_prefix(run, curves, _loss)]
    return Figure("losses", "Training loss", f"As logged, one value a batch. {THINNED}", "Of", views)


def _sparsity(run: Run, curves: Mapping[str, Curve]) -> Figure:
    """Sparsity of the whole scope and of its components."""
    if "sparsity" in curves:
        curves = {**curves, "sparsity": to_the_end(curves["sparsity"], run)}
    found = {name: [(at, 100 * value) for at, value in curve] for name, curve in curves.items() if _sparse(name)}
    named = {name.partition("/")[2] or "whole scope": found[name] for name in sorted(found)}
    views = [_view("sparsity", "sparsity", named, "Sparsity, %")] if named else []
    caption = "What was removed so far, in percent of the weights of each component."
    return Figure("sparsity", "Sparsity over training", caption, "", views)


def _settings(run: Run, curves: Mapping[str, Curve]) -> Figure:
    """Everything else that was logged: λ, thresholds, loss weights and what a method logs of its own."""

    def other(name: str) -> bool:
        return not (_validation(name) or _loss(name) or _sparse(name))

    views = [_view(prefix, _title(prefix), found, _title(prefix)) for prefix, found in _by_prefix(run, curves, other)]
    views.sort(key=lambda view: len(view.numbers) == 1 and view.numbers[0][-1] == "1")
    return Figure("settings", "λ, thresholds and weights", f"Whatever the method logged. {THINNED}", "Of", views)


def _view(key: str, name: str, curves: Mapping[str, Curve], axis: str) -> View:
    traces = [_line(label, thin(curve), index) for index, (label, curve) in enumerate(curves.items())]
    numbers = [[label, *_extremes(curve), str(len(curve))] for label, curve in curves.items()]
    return View(key, name, plotly_json(traces, "Training samples seen", axis), _HEADER, numbers, 280)


def _line(name: str, curve: Curve, index: int) -> Trace:
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines" if len(curve) > 12 else "lines+markers",
        "x": [samples for samples, _ in curve],
        "y": [value for _, value in curve],
        "line": {"width": 1.6, "dash": "dash" if name == "dense" else DASHES[index % len(DASHES)]},
        "meta": {"color": "ink" if name == "dense" else index % COLORS},
    }


def _extremes(curve: Curve) -> list[str]:
    values = [value for _, value in curve]
    finite = [value for value in values if math.isfinite(value)] or values
    return printed.shortly((values[0], min(finite), max(finite), values[-1]))


def _by_prefix(
    run: Run, curves: Mapping[str, Curve], wanted: Callable[[str], bool]
) -> list[tuple[str, dict[str, Curve]]]:
    """Wanted curves that share a prefix ("loss/total" and "loss/depth") together, under their own names.

    Tasks come first and in the record's order, so that a task has one colour in all figures of the run.
    """
    places = {task.name: place for place, task in enumerate(run.record.tasks)}
    found: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        if wanted(name):
            prefix, _, own = name.rpartition("/")
            found.setdefault(prefix or name, {})[own] = curve
    return [
        (prefix, dict(sorted(named.items(), key=lambda item: places.get(item[0], len(places)))))
        for prefix, named in found.items()
    ]


def _title(prefix: str) -> str:
    return _KNOWN.get(prefix, prefix.replace("_", " "))


def _metric(run: Run, name: str) -> MetricValue | None:
    """What the record knows of a logged validation metric."""
    parts = name.split("/")
    return run.record.validation.get(parts[1], {}).get(parts[2]) if len(parts) == 3 else None


def _validation_order(run: Run) -> Callable[[str], tuple[bool, bool]]:
    """The score first, then each task's headline metric, then the rest."""
    headlines = {f"validation/{task.name}/{task.headline}" for task in run.record.tasks}
    return lambda name: (name != "validation/score", name not in headlines)


def _validation(name: str) -> bool:
    return name.startswith("validation/")


def _loss(name: str) -> bool:
    return name == "loss" or name.startswith("loss/")


def _sparse(name: str) -> bool:
    return name == "sparsity" or name.startswith("sparsity/")
