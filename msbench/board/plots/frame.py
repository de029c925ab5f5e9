"""What a figure is: plotly JSON with the numbers it is drawn from, without colours, fonts or theme.

The page adds those: a trace's `meta.color` is a place in its palette, "ink" or "mute".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

DIGITS: Final = 5
"""Significant digits of a drawn number: finer than a pixel, and a third of the page's weight."""
HEIGHT: Final = 360
"""Pixels of a plot."""

Trace = dict[str, Any]


@dataclass(frozen=True)
class View:
    """One choice of a figure: plotly JSON and the numbers behind it. `height` in pixels."""

    key: str
    name: str
    spec: Mapping[str, Any]
    header: Sequence[str]
    numbers: Sequence[Sequence[str]]
    height: int = HEIGHT


@dataclass(frozen=True)
class Figure:
    """A figure with one or more views; `choice` says what they differ in."""

    key: str
    title: str
    caption: str
    choice: str
    views: Sequence[View]

    def file_name(self, view: View) -> str:
        """The name of a view's files, without their ending."""
        return re.sub(r"[^\w.-]+", "-", f"{self.key}-{view.key}", flags=re.ASCII)


def plotly_json(traces: Iterable[Trace], x: str, y: str, **layout: Any) -> dict[str, Any]:
    """Plotly JSON with titled axes, numbers rounded; keywords are more of the layout, merged into the axes."""
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    merged = {key: value | layout.pop(key, {}) for key, value in axes.items()}
    return {"data": [rounded(trace) for trace in traces], "layout": rounded(merged | layout)}


def rounded(value: Any) -> Any:
    """The same JSON with floats at `DIGITS` significant digits; None (a gap in a line) for what is not finite."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [rounded(item) for item in value]
    return value


def level(
    name: str, place: float, along: tuple[float | str, float | str], *, dash: str = "dash", upright: bool = False
) -> Trace:
    """A straight reference line at `place`, drawn over the span `along` of the other axis."""
    across = [place, place]
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines",
        "x": across if upright else list(along),
        "y": list(along) if upright else across,
        "line": {"width": 1.2, "dash": dash},
        "meta": {"color": "ink"},
    }


def band(look: Trace, x: Sequence[float], means: Sequence[float], spreads: Sequence[float]) -> Trace:
    """Mean ± spread as an area without an outline; `look` is the trace that it comes and goes with."""
    upper = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
    lower = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
    kept = {key: look[key] for key in ("type", "name", "legendgroup", "meta", "visible") if key in look}
    area = {"mode": "none", "x": [*x, *reversed(x)], "y": [*upper, *reversed(lower)], "fill": "toself"}
    return kept | area | {"hoverinfo": "skip", "showlegend": False}


def spread_bars(spreads: Sequence[float | None], axis: str = "error_y") -> Trace:
    """Error bars of ±spread; nothing at a point without one, and nothing at all where no point has one."""
    return {axis: {"type": "data", "array": list(spreads), "width": 3}} if any(spreads) else {}


def rows_height(count: int) -> int:
    """Pixels of a plot with one line of text for each of `count` categories."""
    return 96 + 20 * max(count, 3)


def category_axis() -> dict[str, Any]:
    """A vertical axis of names, the first on top, each with its label."""
    return {"type": "category", "autorange": "reversed", "dtick": 1}
