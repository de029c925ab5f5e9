from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from msbench.board.curves import POINTS, panels
from msbench.board.figures import Figure, board_figures
from msbench.board.grouping import group
from msbench.board.load import Run
from msbench.board.ranking import BoardRows
from msbench.runs.record import Record
from tests.board.conftest import Factory


def _figures(records: list[Record]) -> dict[str, Figure]:
    boards, _ = group(Run(record, Path()) for record in records)
    return {figure.key: figure for figure in board_figures(BoardRows.of(boards[0]))}


def test_quality_is_drawn_for_delta_and_every_task(factory: Factory) -> None:
    views = _figures(factory.scene())["quality"].views
    assert [view.key for view in views] == ["delta", "task.segmentation", "task.depth", "task.normals"]


def test_points_are_the_rows_means_at_their_sparsity(factory: Factory) -> None:
    records = [factory.record("random", seed) for seed in range(2)]
    for record, value in zip(records, (-4.0, -6.0), strict=True):
        assert record.delta
        record.delta.mean = value
    traces = _figures(records)["quality"].views[0].spec["data"]
    row = next(trace for trace in traces if trace["name"] == "random" and "error_y" in trace)
    assert row["x"] == pytest.approx([44.03])
    assert row["y"] == [-5.0]
    assert row["error_y"]["array"] == pytest.approx([2**0.5])


def test_methods_differ_by_shape_and_not_by_colour_alone(factory: Factory) -> None:
    traces = _figures(factory.scene())["quality"].views[0].spec["data"]
    symbols = {trace["name"]: trace["marker"]["symbol"] for trace in traces if "error_y" in trace}
    assert len(set(symbols.values())) == len(symbols) == 4


def test_speed_has_a_diagonal_and_leaves_out_what_is_not_proven(factory: Factory) -> None:
    view = _figures(factory.scene())["speed"].views[0]
    assert view.key == "cpu"
    diagonal, *traces = view.spec["data"]
    assert diagonal["x"] == diagonal["y"]
    assert {trace["name"] for trace in traces} == {"meta_sparsity", "one_shot_magnitude", "random"}
    assert len(view.numbers) == 3


def test_without_a_result_there_is_no_figure(factory: Factory) -> None:
    assert _figures([factory.failed("random")]) == {}


def _history(path: Path, rows: list[tuple[int, int, str, float]]) -> Path:
    columns = zip(*rows, strict=True)
    names = ("step", "samples", "name", "value")
    parquet.write_table(pa.table({name: list(column) for name, column in zip(names, columns, strict=True)}), path)
    return path


def test_curves_with_one_prefix_share_a_panel(tmp_path: Path) -> None:
    names = ["loss/total", "lambda", "loss/depth", "validation/depth/abs"]
    path = _history(tmp_path / "history.parquet", [(0, 8, name, 1.0) for name in names])
    found = {panel.title: [trace["name"] for trace in panel.spec["data"]] for panel in panels(path)}
    assert found == {"loss": ["total", "depth"], "lambda": ["lambda"], "validation/depth": ["abs"]}


def test_a_long_curve_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    path = _history(tmp_path / "history.parquet", [(i, 8 * i, "loss", float(i)) for i in range(5001)])
    (panel,) = panels(path)
    trace = panel.spec["data"][0]
    assert len(trace["x"]) == POINTS
    assert (trace["x"][0], trace["x"][-1], trace["y"][-1]) == (0, 40_000, 5000.0)
    assert panel.thinned
    assert panel.numbers == [["loss", "0", "0", "5000", "5000"]]


def test_a_diverged_value_breaks_the_line(tmp_path: Path) -> None:
    path = _history(tmp_path / "history.parquet", [(0, 8, "loss", 1.0), (1, 16, "loss", float("nan"))])
    assert panels(path)[0].spec["data"][0]["y"] == [1.0, None]
