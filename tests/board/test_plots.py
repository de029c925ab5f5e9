"""Figures of a board: what is drawn, from which numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from plotly import graph_objects as go

from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows
from msbench.board.plots import Figure, View, board_figures, run_figures
from msbench.board.plots.frame import plotly_json
from msbench.board.plots.methods import COLORS, Methods, Style
from msbench.board.reading.load import Run, load
from msbench.records.record import Record
from tests.board.conftest import Factory


def rows_of(records: list[Record]) -> BoardRows:
    boards, _ = group(Run(record, Path()) for record in records)
    return BoardRows.of(boards[0])


def figures_of(records: list[Record]) -> dict[str, Figure]:
    return {figure.key: figure for figure in board_figures(rows_of(records))}


def trace_of(view: View, name: str, mode: str = "markers") -> dict[str, Any]:
    """The trace of that name that is in the legend."""
    return next(
        trace
        for trace in view.spec["data"]
        if trace["name"] == name and mode in trace.get("mode", mode) and trace.get("showlegend", True)
    )


def delta_records(factory: Factory, name: str, values: list[float], **changes: Any) -> list[Record]:
    """Runs of one method, one a seed, with the given mean Δ_T."""
    records = [factory.record(name, seed, **changes) for seed in range(len(values))]
    for record, value in zip(records, values, strict=True):
        assert record.delta
        record.delta.mean = value
    return records


def test_quality_is_drawn_for_delta_and_every_task(factory: Factory) -> None:
    views = figures_of(factory.scene())["quality"].views
    assert [view.key for view in views] == ["delta", "task.segmentation", "task.depth", "task.normals"]


def test_points_are_the_rows_means_at_their_sparsity(factory: Factory) -> None:
    view = figures_of(delta_records(factory, "random", [-4.0, -6.0]))["quality"].views[0]
    row = trace_of(view, "random")
    assert row["x"] == pytest.approx([44.03])
    assert row["y"] == [-5.0]
    assert row["error_y"]["array"] == pytest.approx([2**0.5], rel=1e-4)
    assert view.numbers == [["random", "44.03", "−5.000", "1.414", "2"]]


def test_a_method_with_several_budgets_has_a_band_of_one_standard_deviation(factory: Factory) -> None:
    records = delta_records(factory, "random", [-4.0, -6.0])
    records += delta_records(factory, "random", [-10.0, -10.0, -16.0], share=0.9, mode="share")
    for record in records[2:]:
        record.run_id += "-share"
    traces = figures_of(records)["quality"].views[0].spec["data"]
    area = next(trace for trace in traces if trace.get("fill") == "toself")
    low, high = 2**0.5, 12**0.5  # n - 1: variances (1 + 1) / 1 and (4 + 4 + 16) / 2
    assert area["x"] == pytest.approx([44.03, 90.03, 90.03, 44.03])
    assert area["y"] == pytest.approx([-5 + low, -12 + high, -12 - high, -5 - low], rel=1e-4)
    line = trace_of(figures_of(records)["quality"].views[0], "random")
    assert line["mode"] == "lines+markers"
    assert "error_y" not in line


def test_a_method_that_removes_nothing_is_a_line_and_not_a_far_point(factory: Factory) -> None:
    records = [*factory.scene(1), factory.record("single_task", 0, share=0.0, mode="natural")]
    for record in records:
        if record.sparsifier.name == "single_task":
            assert record.budget
            record.budget.achieved = 0.0
    view = figures_of(records)["quality"].views[0]
    assert trace_of(view, "single_task", "lines")["x"] == trace_of(view, "dense", "lines")["x"]
    assert min(trace_of(view, "dense", "lines")["x"]) > 40


def test_every_method_has_one_colour_and_marker_in_all_figures(factory: Factory) -> None:
    seen: dict[str, set[tuple[int, str]]] = {}
    for figure in figures_of(factory.scene()).values():
        for view in figure.views:
            for trace in view.spec["data"]:
                if trace.get("legendgroup") in ("random", "one_shot_magnitude", "meta_sparsity") and "marker" in trace:
                    style = (trace["meta"]["color"], trace["marker"]["symbol"])
                    seen.setdefault(trace["name"], set()).add(style)
    assert len(seen) == 3
    assert all(len(styles) == 1 for styles in seen.values())
    assert len(set.union(*seen.values())) == 3


def test_styles_are_told_apart_by_colour_and_marker_together() -> None:
    styles = [Style.at(index) for index in range(32)]
    assert len({(style.color, style.symbol) for style in styles}) == 32
    assert len({(style.color, style.dash) for style in styles}) == 32
    assert len({style.color for style in styles if style.shown}) == COLORS == sum(style.shown for style in styles)


def test_reference_and_the_best_of_each_target_are_drawn_first(factory: Factory) -> None:
    records = factory.scene(1)
    for index in range(12):
        records += delta_records(factory, f"weak_{index:02}", [-50.0 - index], share=0.9, mode="share")
    methods = Methods.of(rows_of(records))
    shown = [label for label, style in methods.styles.items() if style.shown]
    assert len(methods.styles) > COLORS == len(shown)
    assert shown[:3] == ["meta_sparsity", "weak_00", "one_shot_magnitude"]
    assert "weak_11" not in shown


def test_variants_of_one_name_are_told_apart_by_what_they_differ_in(factory: Factory) -> None:
    records = [factory.record("group_lasso", 0) for _ in range(2)]
    for record, lam in zip(records, (1e-4, 1e-3), strict=True):
        record.sparsifier.params = {"lam": lam, "decay": 0.1}
        record.run_id += str(lam)
    assert set(Methods.of(rows_of(records)).labels.values()) == {"group_lasso lam=0.0001", "group_lasso lam=0.001"}


def test_bars_are_sorted_best_first_also_where_lower_is_better(factory: Factory) -> None:
    views = {view.key: view for view in figures_of(factory.scene())["bars"].views}
    best_first = ["meta_sparsity", "one_shot_magnitude", "group_lasso", "random"]
    for key in ("0-0-structured.task.segmentation", "0-0-structured.task.depth"):
        assert trace_of(views[key], "mean over seeds")["y"] == best_first
    assert views["0-0-structured.task.depth"].spec["data"][1]["name"] == "dense"


def test_budget_errors_are_points_of_achieved_minus_asked(factory: Factory) -> None:
    records = factory.scene(2)
    for record in records:
        if record.sparsifier.name == "random" and record.budget:
            record.budget.achieved = (record.budget.asked or 0.0) + 0.002 - 0.006 * record.seed
    view = next(view for view in figures_of(records)["budget"].views if "Matched" in view.name)
    assert trace_of(view, "random")["x"] == pytest.approx([0.2, -0.4])
    assert trace_of(view, "random")["y"] == ["random", "random"]
    (band,) = view.spec["layout"]["shapes"]
    assert (band["x0"], band["x1"]) == (-0.5, 0.5)
    assert view.numbers[0] == ["random", "−0.400", "+0.200", "2"]


def test_without_a_result_there_is_no_figure(factory: Factory) -> None:
    assert figures_of([factory.failed("random")]) == {}


def test_numbers_are_drawn_with_five_digits_and_gaps_where_not_finite() -> None:
    spec = plotly_json([{"y": [1.23456789, float("nan"), 12345678.9, 3]}], "x", "y", xaxis={"type": "log"})
    assert spec["data"][0]["y"] == [1.2346, None, 12346000.0, 3]
    assert spec["layout"]["xaxis"] == {"title": {"text": "x"}, "type": "log"}


def test_figures_of_stored_runs_are_valid_plotly_of_known_shape(site: Path) -> None:
    loaded = load(site.parent / "runs")
    boards, _ = group(loaded.runs)
    figures = board_figures(BoardRows.of(boards[0]))
    shape = {figure.key: len(figure.views) for figure in figures}
    assert shape == {
        "quality": 4, "front": 2, "bars": 4, "speed": 2, "sparsity-over-training": 1, "budget": 1,
    }  # fmt: skip
    dense = next(run for run in loaded.runs if run.record.sparsifier.name == "dense")
    run = next(run for run in loaded.runs if run.record.sparsifier.name == "random")
    of_run = {figure.key: len(figure.views) for figure in run_figures(run, dense)}
    assert of_run == {"layers": 2, "validation": 6, "losses": 1, "sparsity": 1, "settings": 2}
    for figure in [*figures, *run_figures(run, dense)]:
        keys = Counter(view.key for view in figure.views)
        assert max(keys.values()) == 1
        for view in figure.views:
            check(view)


def check(view: View) -> None:
    """Valid for plotly, light, and every trace with a colour and a number."""
    traces = view.spec["data"]
    go.Figure(data=list(traces), layout=dict(view.spec["layout"]))
    assert traces
    assert all("color" in trace["meta"] for trace in traces)
    assert all(len(trace["x"]) <= 400 for trace in traces)
    assert len(json.dumps(view.spec)) < 40_000
    assert view.numbers
    assert {len(line) for line in view.numbers} == {len(view.header)}
