"""Figures as vector PDF files, drawn with matplotlib (extra `pdf`) from the same plotly JSON as the pages'."""

from __future__ import annotations

import importlib.resources
import importlib.util
import io
import multiprocessing
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msbench.board.plots.frame import Figure, Trace, View
from msbench.board.site.render import processors
from msbench.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS: Final = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "x": "X", "triangle-down": "v",
    "star": "*", "circle-open": "o",
}  # fmt: skip
LINES: Final = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (9, 4))}
STEPS: Final = {"hv": "steps-post", "vh": "steps-pre"}
WIDTH: Final = 6.4
"""Inches."""
PIXELS: Final = 96
"""Pixels an inch."""
SHARE: Final = 4
"""Figures that are worth a process."""


def write_pdfs(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write `folder/FIGURE-VIEW.pdf` for every view, with the methods that are drawn at first.

    Raises UserError when matplotlib is not installed.
    """
    need_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    drawn = pdf_files(figures)
    for name, content in drawn.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in drawn]


def need_matplotlib() -> None:
    """UserError when matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures as PDF need matplotlib, which is not installed: pip install 'msbench[pdf]'")


def pdf_files(figures: Sequence[Figure]) -> dict[str, bytes]:
    """Every view as a PDF file, by name; a third of a second each, drawn by a process for each processor."""
    views = {f"{figure.file_name(view)}.pdf": view for figure in figures for view in figure.views}
    draw = partial(draw_pdf, palette=_palette())
    workers = min(processors(), len(views) // SHARE)
    if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return {name: draw(view) for name, view in views.items()}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        return dict(zip(views, pool.map(draw, views.values(), chunksize=4), strict=True))


def draw_pdf(view: View, palette: Mapping[str, str]) -> bytes:
    """One view, with the methods that are drawn at first."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context({"pdf.fonttype": 42, "font.size": 8, "font.family": "DejaVu Sans"}):
        canvas = Canvas(figsize=(WIDTH, view.height / PIXELS), layout="constrained")
        axes = canvas.subplots()
        for trace in view.spec["data"]:
            if trace.get("visible") != "legendonly" and len(trace["x"]):
                _draw(axes, trace, palette)
        _frame(axes, view.spec["layout"], palette)
        handles, labels = axes.get_legend_handles_labels()
        if view.spec["layout"].get("showlegend") is not False and len(labels) > 1:
            canvas.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
        file = io.BytesIO()
        canvas.savefig(file, format="pdf", metadata={"CreationDate": None})
        return file.getvalue()


def _draw(axes: Axes, trace: Trace, palette: Mapping[str, str]) -> None:
    place = trace["meta"]["color"]
    color = [palette[str(one)] for one in place] if isinstance(place, list) else palette[str(place)]
    label = "_" if trace.get("showlegend") is False else trace["name"]
    x, y = _numbers(trace["x"]), _numbers(trace["y"])
    if trace["type"] == "bar":
        _bars(axes, trace, x, y, color, label, palette)
    elif trace.get("fill"):
        axes.fill(x, y, color=color, alpha=0.16, linewidth=0)
    else:
        _line(axes, trace, x, y, color, label)


def _bars(
    axes: Axes, trace: Trace, x: Sequence[Any], y: Sequence[Any], color: Any, label: str, palette: Mapping[str, str]
) -> None:
    look = {"facecolor": "none", "edgecolor": palette["ink"]} if trace["meta"].get("outline") else {"color": color}
    if trace.get("orientation") == "h":
        spreads = _numbers(trace["error_x"]["array"]) if "error_x" in trace else None
        axes.barh(y, x, 0.65, xerr=spreads, capsize=2, label=label, ecolor=palette["ink"], **look)
    else:
        axes.bar(x, y, 0.75, label=label, linewidth=0.6, **look)


def _line(axes: Axes, trace: Trace, x: Sequence[Any], y: Sequence[Any], color: Any, label: str) -> None:
    mode, marker = trace["mode"], trace.get("marker", {})
    line = trace.get("line", {})
    axes.errorbar(
        x,
        y,
        **{
            key.replace("error_", "") + "err": _bar_lengths(trace[key])
            for key in ("error_x", "error_y")
            if key in trace
        },
        label=label,
        color=color,
        alpha=trace.get("opacity", 1.0),
        linestyle=LINES[line.get("dash", "solid")] if "lines" in mode else "none",
        linewidth=0.75 * line.get("width", 1.6),
        drawstyle=STEPS.get(line.get("shape", ""), "default"),
        marker=MARKERS[marker.get("symbol", "circle")] if "markers" in mode else "none",
        markersize=0.6 * marker.get("size", 6),
        markerfacecolor="none" if marker.get("symbol") == "circle-open" else color,
        elinewidth=0.8,
        capsize=1.5,
    )
    for place, height, name in zip(x, y, trace["text"] if "text" in mode else (), strict="text" in mode):
        axes.annotate(name, (place, height), xytext=(2, 3), textcoords="offset points", fontsize=6.5)


def _bar_lengths(bars: Mapping[str, Any] | None) -> Any:
    if bars is None:
        return None
    return [_numbers(bars["arrayminus"]), _numbers(bars["array"])] if "arrayminus" in bars else _numbers(bars["array"])


def _numbers(values: Sequence[Any]) -> list[Any]:
    """Gaps as not a number; names as they are."""
    return [float("nan") if value is None else value for value in values]


def _frame(axes: Axes, layout: Mapping[str, Any], palette: Mapping[str, str]) -> None:
    from matplotlib.ticker import LogFormatter

    axes.set_xlabel(layout["xaxis"]["title"]["text"])
    axes.set_ylabel(layout["yaxis"]["title"]["text"])
    axes.grid(color="#d9d6cc", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for shape in layout.get("shapes", ()):
        axes.axvspan(shape["x0"], shape["x1"], color="#e6e3da", zorder=0, linewidth=0)
    for name, scale, axis in (("xaxis", axes.set_xscale, axes.xaxis), ("yaxis", axes.set_yscale, axes.yaxis)):
        if layout[name].get("type") == "log":
            scale("log")
            axis.set_major_formatter(LogFormatter())  # 2, not 2 × 10⁰
            axis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))
    if "range" in layout["xaxis"]:
        axes.set_xlim(*layout["xaxis"]["range"])
    if layout["yaxis"].get("autorange") == "reversed":
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
    axes.tick_params(color=palette["ink"])


def _palette() -> dict[str, str]:
    """The pages' light palette by place."""
    style = importlib.resources.files("msbench.board").joinpath("static/plots.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"--plot-(\w+): light-dark\((#\w{6})", style))
    return {**found, "ink": "#5f5e58"}
