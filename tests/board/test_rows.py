"""What a row says: aggregation, ranks, flags, and what may not be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows, rank_notice
from msbench.board.comparison.rows import Row, status_of
from msbench.board.reading.load import Run
from msbench.board.table.cells import Cell
from msbench.board.table.summary import facts
from msbench.board.table.tables import detail_tables, main_table
from msbench.records.record import Record
from tests.board.conftest import FACES, Factory


def rows_of(records: list[Record]) -> BoardRows:
    boards, _ = group(Run(record, Path()) for record in records)
    assert len(boards) == 1
    return BoardRows.of(boards[0])


def row_of(data: BoardRows, name: str) -> Row:
    return next(row for row in data.rows if row.sparsifier.name == name)


def cells_of(data: BoardRows, name: str) -> dict[str, Cell]:
    table = main_table(data)
    lines = [line for section in table.sections for line in section.lines]
    line = next(line for line in lines if line.row.sparsifier.name == name)
    return dict(zip((column.key for column in table.columns), line.cells, strict=True))


def test_seeds_are_aggregated_with_mean_spread_and_number(factory: Factory) -> None:
    records = [factory.record("random", seed) for seed in range(3)]
    for record, value in zip(records, (50.0, 51.0, 55.0), strict=True):
        record.metrics["segmentation"]["miou"].value = value
    summary = row_of(rows_of(records), "random").metric("segmentation", "miou")
    assert summary
    assert (summary.mean, summary.sd, summary.n) == (52.0, pytest.approx(7**0.5), 3)


@pytest.mark.parametrize(("task", "metric", "better_value"), [("segmentation", "miou", 60.0), ("depth", "abs", 0.1)])
def test_a_change_is_positive_when_better_whatever_the_direction(
    factory: Factory, task: str, metric: str, better_value: float
) -> None:
    dense, run = factory.record("dense"), factory.record("random")
    base = dense.metrics[task][metric].value
    run.metrics[task][metric].value = better_value
    change = row_of(rows_of([dense, run]), "random").change(task, metric)
    assert change
    assert change.mean == pytest.approx(100 * abs(better_value - base) / base)


def test_a_change_is_against_the_dense_run_that_the_record_names(factory: Factory) -> None:
    """A newer dense control of the same seed, from other sources, must not shift older rows."""
    dense, newer, run = factory.record("dense"), factory.record("dense"), factory.record("random")
    newer.run_id, newer.created = "dense-newer", "2026-01-01T00:00:00Z"
    newer.metrics["segmentation"]["miou"].value = 1.0
    dense.metrics["segmentation"]["miou"].value = run.metrics["segmentation"]["miou"].value
    change = row_of(rows_of([dense, newer, run]), "random").change("segmentation", "miou")
    assert change
    assert change.mean == 0.0


def test_three_seeds_give_rank_ranges_and_two_give_a_notice(factory: Factory) -> None:
    ranked = rows_of(factory.scene(3))
    assert {row.sparsifier.name: ranked.ranks.get(row) for row in ranked.rows} == {
        "meta_sparsity": (1, 2),
        "one_shot_magnitude": (1, 2),
        "random": (3, 3),
        "group_lasso": None,
        "adapmtl": None,
    }
    few = rows_of(factory.scene(2))
    assert not few.ranks
    assert rank_notice(few) == "Not ranked: 2 seeds a row, and a ranking needs at least 3."


def test_rows_of_different_targets_are_never_ranked_against_each_other(factory: Factory) -> None:
    records = [factory.record("random", seed, mode="share", share=share) for seed in range(3) for share in (0.4, 0.9)]
    for index, record in enumerate(records):
        record.run_id = f"run-{index}"
    data = rows_of(records)
    assert len(data.rows) == 2
    assert not data.ranks


def test_structured_and_unstructured_rows_are_ranked_apart(factory: Factory) -> None:
    records = [factory.record(name, seed) for seed in range(3) for name in ("random", "group_lasso")]
    records += [factory.record("elements", seed, structured=False) for seed in range(3)]
    data = rows_of(records)
    assert set(data.ranks) == {row_of(data, "random"), row_of(data, "group_lasso")}


def test_matched_rows_with_different_targets_for_one_seed_are_not_ranked(factory: Factory) -> None:
    records = [factory.record("random", seed, share=0.44) for seed in range(3)]
    records += [factory.record("group_lasso", seed, share=0.60) for seed in range(3)]
    data = rows_of(records)
    assert not data.ranks
    assert rank_notice(data) == "Not ranked: the rows had different targets; below it says which."
    assert data.ranking.refusals == (
        "Matched budget, structured: the targets of seed 0 differ by more than the tolerance of 0.5 points: "
        "44.0\u202f% (random) against 60.0\u202f% (group_lasso)",
    )


def test_natural_sparsities_are_not_ranked(factory: Factory) -> None:
    data = rows_of([factory.record(name, seed, mode="natural") for seed in range(3) for name in ("a", "b")])
    assert not data.ranks


def test_one_bad_seed_keeps_a_row_out_of_the_ranking_and_is_named(factory: Factory) -> None:
    records = [factory.record(name, seed) for seed in range(4) for name in ("random", "group_lasso", "other")]
    records[-1] = factory.failed("other", 3, "timeout", "stopped after 60 s")
    data = rows_of(records)
    row = row_of(data, "other")
    assert row not in data.ranks
    assert row.objections == ["timeout, seed 3: stopped after 60 s"]
    assert status_of(row) == ("warn", "timeout (seed 3)")


def test_a_run_that_started_from_other_weights_is_flagged(factory: Factory) -> None:
    run = factory.record("random", hashes={"initial_weights": "mine", "data": "data-1"})
    row = row_of(rows_of([factory.record("dense"), run]), "random")
    assert row.objections == ["other start, seed 0: not the dense run's initial weights"]


def test_the_newest_run_of_a_seed_counts_and_the_older_is_named(factory: Factory) -> None:
    old, new = factory.record("random"), factory.record("random")
    new.run_id, new.created = "newer", "2026-01-01T00:00:00Z"
    row = row_of(rows_of([new, old]), "random")
    assert [run.run_id for run in row.runs] == ["newer"]
    assert [run.run_id for run in row.superseded] == [old.run_id]


def test_parameters_tell_rows_of_the_same_sparsifier_apart(factory: Factory) -> None:
    records = [factory.record("group_lasso"), factory.record("group_lasso")]
    for index, record in enumerate(records):
        record.run_id = f"run-{index}"
        record.sparsifier.params = {"lam": 0.1 * (index + 1), "same": 1}
    lines = [line for section in main_table(rows_of(records)).sections for line in section.lines]
    assert sorted(line.variant for line in lines) == ["lam=0.1", "lam=0.2"]


def test_no_speed_up_or_compression_without_proof(factory: Factory) -> None:
    cells = cells_of(rows_of(factory.scene()), "group_lasso")
    withheld = {key for key, cell in cells.items() if cell.main == "withheld"}
    assert withheld == {"parameters", "bytes", "theoretical", "macs", "measured.cpu", "latency.cpu", "measured.cuda"}
    assert cells["proof"].main.startswith("≠")


def test_a_missing_gpu_is_a_declared_gap(factory: Factory) -> None:
    cell = cells_of(rows_of(factory.scene()), "random")["measured.cuda"]
    assert (cell.main, cell.sub) == ("no GPU", "not measured")


def test_measured_speed_up_stands_with_its_quartiles(factory: Factory) -> None:
    run = factory.record("random")
    assert run.speedup
    part = run.speedup.measured["cpu"]
    assert part
    part.ratio, part.q25, part.q75 = 2.5, 2.4, 2.65
    cell = cells_of(rows_of([run]), "random")["measured.cpu"]
    assert (cell.main, cell.sub) == ("2.50×", "2.40–2.65")


def test_timings_are_of_one_machine_and_quality_of_all(factory: Factory) -> None:
    """Two seeds on one machine, one on another that is ten times as fast; a method that only the other has run."""
    runs = [factory.record(name, seed) for name in ("random", "one_shot") for seed in (0, 1, 2)]
    runs += [factory.record("snip", 2)]
    for run in runs:
        assert run.cost
        assert run.speedup
        assert run.speedup.measured["cpu"]
        foreign = run.seed == 2
        run.environment = {"cpu": "Other CPU" if foreign else "A CPU"}
        run.cost.wall_s = 10.0 if foreign else 100.0
        part = run.speedup.measured["cpu"]
        part.device, part.ratio = "cpu", 9.0 if foreign else 1.5

    data = rows_of(runs)
    row, cells = row_of(data, "random"), cells_of(data, "random")
    assert row.delta_mean
    assert row.delta_mean.n == 3
    assert (cells["measured.cpu"].main, cells["time"].sort) == ("1.50×", 100.0)
    assert "Other" not in cells["measured.cpu"].title
    cells = cells_of(data, "snip")
    assert (cells["measured.cpu"].main, cells["measured.cpu"].sub) == ("other", "machine")
    assert cells["measured.cpu"].title.startswith("Other CPU")
    assert cells["time"].main == "other machine"
    assert cells["measured.cpu"].sort is cells["time"].sort is None
    words = "A CPU (4 runs), Other CPU (3); speed-ups, latencies and training times are of the A CPU alone"
    assert ("Machines", words) in facts(data)


def test_a_missed_budget_is_said_in_words_and_colour(factory: Factory) -> None:
    run = factory.record("random", status="budget_missed", reason="asked 44 %, achieved 40 %")
    assert run.budget
    run.budget.achieved, run.budget.met = 0.40, False
    cell = cells_of(rows_of([run]), "random")["sparsity"]
    assert cell.tone == "bad"
    assert cell.sub.endswith("missed")
    assert cell.bar == (0.40, 0.44)


def test_the_worst_task_is_named(factory: Factory) -> None:
    run = factory.record("random")
    assert run.delta
    run.delta.per_task = {"segmentation": -1.0, "depth": -7.0, "normals": 2.0}
    cell = cells_of(rows_of([run]), "random")["worst"]
    assert (cell.main, cell.sub) == ("−7.00", "depth")


def test_the_dense_control_comes_first_and_failures_last(factory: Factory) -> None:
    sections = main_table(rows_of(factory.scene())).sections
    assert [line.role for line in sections[0].lines] == ["dense"]
    assert [(line.row.sparsifier.name, line.cells) for line in sections[-1].lines] == [("adapmtl", ())]


def test_the_majority_rate_stands_in_the_header_of_an_accuracy(factory: Factory) -> None:
    columns = {c.key: c for c in main_table(rows_of([factory.record("random", tasks=FACES)])).columns}
    assert columns["task.smiling"].notes == ("accuracy ↑, %", "majority rate 51.80")


def test_every_metric_of_every_task_is_in_the_details(factory: Factory) -> None:
    details = detail_tables(rows_of(factory.scene()))
    assert [(table.task, [key for key, _, _ in table.columns]) for table in details] == [
        ("segmentation", ["miou", "pixel_accuracy"]),
        ("depth", ["abs", "rel"]),
        ("normals", ["mean", "within_11"]),
    ]
