"""Curves over training, of one run and averaged over seeds; and what results depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from msbench.board.comparison.curves import MEAN_POINTS, POINTS, Mean, mean_curve, notice, read_curves, thin
from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows
from msbench.board.plots import Figure, board_figures, run_figures
from msbench.board.reading.load import Run, load
from msbench.records.record import Record
from tests.board.conftest import Factory
from tests.board.test_plots import delta_records, figures_of, trace_of

Row = tuple[int, str, float]
"""samples, name, value"""


def write_history(folder: Path, rows: list[Row]) -> Path:
    """A history of these rows."""
    folder.mkdir(exist_ok=True)
    samples, names, values = zip(*rows, strict=True)
    table = {"step": list(range(len(rows))), "samples": list(samples), "name": list(names), "value": list(values)}
    parquet.write_table(pa.table(table), folder / "history.parquet")
    return folder


def run_with(factory: Factory, folder: Path, rows: list[Row], **changes: Any) -> Run:
    return Run(factory.record("random", **changes), write_history(folder, rows))


def keyed(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures}


def on_board(runs: list[Run]) -> dict[str, Figure]:
    boards, _ = group(runs)
    return keyed(board_figures(BoardRows.of(boards[0])))


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    kept = thin([(8 * i, float(i)) for i in range(5001)])
    assert len(kept) == POINTS
    assert (kept[0], kept[-1]) == ((0, 0.0), (40_000, 5000.0))
    assert thin([(0, 1.0), (8, 2.0)]) == [(0, 1.0), (8, 2.0)]


def test_mean_over_seeds_is_taken_where_all_have_values() -> None:
    """Second seed between its points 10 and 30: 4 at 20. Means (1 + 2) / 2, (2 + 4) / 2; deviations |a - b| / √2."""
    found = mean_curve([[(0, 9.0), (10, 1.0), (20, 2.0), (40, 7.0)], [(10, 2.0), (30, 6.0)]])
    assert found is not None
    assert found.spreads is not None
    assert found.samples == [10, 20, 30]
    assert found.means == pytest.approx([1.5, 3.0, (4.5 + 6.0) / 2])
    assert found.spreads == pytest.approx([0.5**0.5, 2**0.5, 1.5 * 0.5**0.5])
    assert found.seeds == 2


def test_mean_of_one_seed_has_no_spread_and_diverged_values_do_not_count() -> None:
    assert mean_curve([[(0, 1.0), (5, float("nan")), (9, 2.0)]]) == Mean([0, 9], [1.0, 2.0], None, 1)
    assert mean_curve([[(0, float("inf"))]]) is None
    assert mean_curve([[(0, 1.0)], [(5, 1.0)]]) is None


def test_mean_of_long_curves_keeps_the_ends() -> None:
    found = mean_curve([[(i, float(i)) for i in range(1000)]] * 2)
    assert found is not None
    assert (len(found.samples), found.samples[0], found.samples[-1]) == (MEAN_POINTS, 0, 999)


def test_convergence_is_the_mean_score_with_a_band_and_the_dense_control(factory: Factory, tmp_path: Path) -> None:
    scores = {0: (2.0, 1.0), 1: (4.0, 1.0)}
    runs = [
        run_with(factory, tmp_path / str(seed), [(100, "validation/score", a), (200, "validation/score", b)], seed=seed)
        for seed, (a, b) in scores.items()
    ]
    folder = write_history(tmp_path / "dense", [(100, "validation/score", 0.5)])
    runs.append(Run(factory.record("dense", 0), folder))
    (view,) = on_board(runs)["convergence"].views
    assert trace_of(view, "random", "lines")["y"] == [3.0, 1.0]
    area = next(trace for trace in view.spec["data"] if trace.get("fill"))
    assert area["y"] == pytest.approx([3 + 2**0.5, 1.0, 1.0, 3 - 2**0.5], rel=1e-4)
    assert trace_of(view, "dense", "lines")["meta"]["color"] == "ink"
    assert view.numbers[1] == ["random", "3", "1", "3", "1", "2"]


def test_sparsity_goes_on_to_what_was_achieved_once_the_mask_is_frozen(factory: Factory, tmp_path: Path) -> None:
    run = run_with(factory, tmp_path / "run", [(0, "sparsity", 0.0), (800, "sparsity", 0.25)])
    (view,) = on_board([run])["sparsity-over-training"].views
    trace = trace_of(view, "random", "lines")
    assert trace["x"] == [0, 800, 19984]
    assert trace["y"] == pytest.approx([0.0, 44.03, 44.03])
    assert trace["line"]["shape"] == "hv"


def test_a_method_whose_groups_grow_back_is_drawn_beside_the_reference(factory: Factory, tmp_path: Path) -> None:
    """It is not among the best, and drawn at first all the same."""
    runs = []
    for index in range(10):
        name = f"method_{index}"
        (record,) = delta_records(factory, name, [-1.0 - index])
        rows: list[Row] = [(100, "validation/score", 1.0), (200, "validation/score", 0.5)]
        runs.append(Run(record, write_history(tmp_path / name, rows + [(100, "regrown_groups", 3.0)] * (index == 9))))
    (view,) = on_board(runs)["convergence"].views
    hidden = {trace["name"] for trace in view.spec["data"] if trace.get("visible") == "legendonly"}
    assert hidden == {"method_8"}


def test_heads_are_compared_with_the_backbone_only_where_their_sparsity_varies(factory: Factory) -> None:
    assert "components" not in figures_of(factory.scene())
    records = [factory.record(f"method_{index}", 0) for index in range(2)]
    for record, share in zip(records, (0.2, 0.6), strict=True):
        assert record.sparsity
        record.sparsity.per_component = {"backbone": 0.5, "heads.depth": share}
    (view,) = figures_of(records)["components"].views
    assert view.key == "heads.depth"
    assert trace_of(view, "method_1")["x"] == [60.0]


def with_lam(factory: Factory, lam: float, delta: float) -> Record:
    (record,) = delta_records(factory, "group_lasso", [delta], mode="natural")
    assert record.cost
    record.sparsifier.params = {"lam": lam}
    record.run_id += str(lam)
    record.cost.wall_s = 10 * delta**2
    return record


def test_what_lambda_does_needs_several_values_of_it(factory: Factory) -> None:
    assert "lambda" not in figures_of([with_lam(factory, 1e-3, -2.0)])
    views = figures_of([with_lam(factory, 1e-3, -2.0), with_lam(factory, 1e-5, -1.0)])["lambda"].views
    found = {view.key: view.spec["data"][0] for view in views}
    assert list(found) == ["delta", "task.segmentation", "task.depth", "task.normals", "sparsity", "time"]
    assert (found["delta"]["x"], found["delta"]["y"]) == ([1e-5, 1e-3], [-1.0, -2.0])
    assert found["time"]["y"] == [10.0, 40.0]
    assert found["sparsity"]["y"] == pytest.approx([44.03, 44.03])


def test_layers_are_drawn_before_and_after(factory: Factory) -> None:
    record = factory.record("random")
    assert record.sparsity
    record.sparsity.channels = {"conv1": [3, 4], "conv2": [2, 8]}
    record.sparsity.per_layer = {"conv1": 0.25, "conv2": 0.75}
    channels, weights = keyed(run_figures(Run(record, Path())))["layers"].views
    assert [trace["y"] for trace in channels.spec["data"]] == [[4, 8], [3, 2]]
    assert weights.spec["data"][1]["y"] == [75.0, 25.0]
    assert channels.numbers == [["conv1", "3", "4"], ["conv2", "2", "8"]]


def test_nothing_removed_draws_no_layers(factory: Factory) -> None:
    assert run_figures(Run(factory.record("dense"), Path())) == []


def test_everything_a_run_logged_is_in_one_figure(factory: Factory, tmp_path: Path) -> None:
    names = ["loss/a", "loss/b", "lambda", "threshold/backbone", "sparsity", "sparsity/backbone", "own/thing"]
    run = run_with(factory, tmp_path / "run", [(samples, name, 1.0) for name in names for samples in (8, 16)])
    figures = keyed(run_figures(run))
    assert [trace["name"] for trace in figures["losses"].views[0].spec["data"]] == ["a", "b"]
    assert [trace["name"] for trace in figures["sparsity"].views[0].spec["data"]] == ["whole scope", "backbone"]
    assert [view.key for view in figures["settings"].views] == ["lambda", "threshold", "own"]


def test_validation_starts_with_the_score_and_headlines_beside_dense(factory: Factory, tmp_path: Path) -> None:
    names = ["validation/depth/rel", "validation/depth/abs", "validation/score"]
    rows = [(samples, name, 1.0) for name in names for samples in (8, 16)]
    run = run_with(factory, tmp_path / "run", rows)
    dense = Run(factory.record("dense"), write_history(tmp_path / "dense", rows[:4]))
    views = keyed(run_figures(run, dense))["validation"].views
    assert [view.key for view in views] == ["validation/score", "validation/depth/abs", "validation/depth/rel"]
    assert [len(view.spec["data"]) for view in views] == [1, 2, 2]
    assert views[1].spec["layout"]["yaxis"]["title"]["text"] == "depth: absolute error ↓, m"


def test_a_diverged_value_breaks_the_line(factory: Factory, tmp_path: Path) -> None:
    run = run_with(factory, tmp_path / "run", [(8, "loss/a", 1.0), (16, "loss/a", float("nan"))])
    assert keyed(run_figures(run))["losses"].views[0].spec["data"][0]["y"] == [1.0, None]


def test_a_missing_or_broken_history_is_named_and_draws_nothing(factory: Factory, tmp_path: Path) -> None:
    assert notice(tmp_path) == "This run left no history."
    (tmp_path / "history.parquet").write_bytes(b"not parquet")
    assert notice(tmp_path).startswith("history.parquet cannot be read: ")
    assert set(keyed(run_figures(Run(factory.record("random"), tmp_path)))) == {"layers"}
    assert notice(write_history(tmp_path, [(8, "loss/a", 1.0)])) == ""
    assert read_curves(tmp_path) == {"loss/a": [(8, 1.0)]}


def test_curves_of_the_fixture_reach_its_pages(site: Path) -> None:
    run = next(run for run in load(site.parent / "runs").runs if run.record.sparsifier.name == "random")
    assert len(keyed(run_figures(run))["losses"].views[0].spec["data"][0]["x"]) == POINTS
