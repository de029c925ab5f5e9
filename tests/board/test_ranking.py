"""What is ranked, what is refused and why; curves over budgets; comparisons over boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench.board.comparison.across import compare
from msbench.board.comparison.comparability import differences, kept_apart
from msbench.board.comparison.grouping import Board, BoardKey, group
from msbench.board.comparison.ranking import BoardRows, rank_notice
from msbench.board.comparison.sweep import Sweep, delta_of
from msbench.board.plots.ranks import critical_difference_figure
from msbench.board.reading.load import Run
from msbench.board.statistics import Span
from msbench.board.table.cells import Cell
from msbench.board.table.tables import detail_tables, main_table
from msbench.records.record import Record
from tests.board.conftest import FACES, SCENE, Factory

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
OFFSETS = (-0.1, 0.0, 0.1)


def boards_of(records: list[Record]) -> list[Board]:
    return group(Run(record, Path()) for record in records)[0]


def rows_of(records: list[Record]) -> BoardRows:
    (board,) = boards_of(records)
    return BoardRows.of(board)


def runs_of(factory: Factory, name: str, deltas: list[float], share: float = 0.44, **changes: object) -> list[Record]:
    """One run a value, seeds from 0, at one share and with this mean Δ_T."""
    records = []
    for seed, delta in enumerate(deltas):
        changed = {"mode": "share", "run_id": f"{name}-{share}-{seed}"} | changes
        record = factory.record(name, seed, share=share, **changed)  # type: ignore[arg-type]
        assert record.delta
        record.delta.mean = delta
        records.append(record)
    return records


def line_of(data: BoardRows, name: str) -> dict[str, Cell]:
    table = main_table(data)
    lines = [line for section in table.sections for line in section.lines]
    line = next(line for line in lines if line.row.sparsifier.name == name)
    return dict(zip((column.key for column in table.columns), line.cells, strict=True))


def test_delta_stands_with_its_interval_and_metrics_with_their_change(factory: Factory) -> None:
    """Values 1, 2, 6 have Student's interval 3 ± 4.3027 sqrt(7 / 3) = 3 ± 6.572."""
    data = rows_of([factory.record("dense", seed) for seed in range(3)] + runs_of(factory, "a", [1.0, 2.0, 6.0]))
    cell = line_of(data, "a")["delta"]
    assert (cell.main, cell.spread, cell.sub) == ("+3.00", "±2.65", "[−3.57, +9.57]")
    assert "Student’s t" in cell.title
    assert "sum over metrics" in cell.title
    detail = detail_tables(data)[0].lines[1].cells[0]
    assert detail.sub.startswith("−")
    assert detail.sub.endswith("]")


def test_without_three_seeds_there_is_no_interval_and_the_number_of_seeds_is_said(factory: Factory) -> None:
    cell = line_of(rows_of(runs_of(factory, "a", [1.0, 2.0])), "a")["delta"]
    assert cell.sub == "2 seeds"
    assert "too few for an interval" in cell.title


def test_bold_is_only_what_is_first_alone_with_an_interval_of_its_own(factory: Factory) -> None:
    clear = rows_of(runs_of(factory, "a", [-1.0, -1.1, -0.9]) + runs_of(factory, "b", [-9.0, -9.2, -8.9]))
    assert line_of(clear, "a")["delta"].strong
    assert not line_of(clear, "b")["delta"].strong
    wide = rows_of(runs_of(factory, "a", [-1.0, -9.0, 4.0]) + runs_of(factory, "b", [-3.0, -11.1, 2.1]))
    assert [wide.ranks[row] for row in wide.rows] == [(1, 1), (2, 2)]
    assert not line_of(wide, "a")["delta"].strong
    assert not line_of(wide, "a")["rank"].strong


def test_a_row_with_too_few_seeds_is_left_out_by_name_and_the_others_keep_their_ranks(factory: Factory) -> None:
    data = rows_of(
        [
            *runs_of(factory, "a", [-1.0, -1.1, -0.9]),
            *runs_of(factory, "b", [-9.0, -9.2, -8.9]),
            *runs_of(factory, "new", [5.0]),
        ]
    )
    assert {row.sparsifier.name: found for row, found in data.ranks.items()} == {"a": (1, 1), "b": (2, 2)}
    (reason,) = data.ranking.refusals
    assert "new (1 seed) left out: a rank needs 3 seeds" in reason
    assert rank_notice(data).startswith("Ranks are ranges")


def test_a_whole_pool_with_too_few_seeds_is_refused_in_one_line(factory: Factory) -> None:
    data = rows_of(runs_of(factory, "a", [1.0, 2.0]) + runs_of(factory, "b", [1.0]))
    assert [reason.partition(": ")[2] for reason in data.ranking.refusals] == [
        "2 rows with 2 seeds at most: a rank needs 3"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preset": "smoke"}, "preset: quick against smoke"),
        ({"metric_version": 2}, "metric version: 1 against 2"),
        ({"allowance": {"samples": 10_000, "spent": 9_000}}, "training samples allowed: 20000 against 10000"),
        ({"hashes": {"data": "other"}}, "data fingerprint: data-1 against other"),
        ({"tasks": ("depth",)}, "tasks: depth, normals, segmentation against depth"),
    ],
)
def test_the_field_that_keeps_two_records_apart_is_named(
    factory: Factory, change: dict[str, object], said: str
) -> None:
    first, second = factory.record("a"), factory.record("b", **change)  # type: ignore[arg-type]
    assert said in differences(BoardKey.of(first), BoardKey.of(second))


def test_nested_settings_and_budget_units_are_named_by_their_keys(factory: Factory) -> None:
    config = {"training": {"lr": 0.004, "batch": 8}, "data": {"name": "rooms"}}
    first = factory.record("a", config=config)
    second = factory.record("b", config=config | {"training": {"lr": 0.1, "batch": 8}})
    assert second.budget
    second.budget.unit = "macs"
    found = differences(BoardKey.of(first), BoardKey.of(second))
    assert found == ["budget.unit: params against macs", "training.lr: 0.004 against 0.1"]


def test_what_a_run_did_not_live_to_know_is_no_difference(factory: Factory) -> None:
    assert differences(BoardKey.of(factory.record("a")), BoardKey.of(factory.early("b"))) == []


def test_the_nearest_board_is_named_with_the_reason(factory: Factory) -> None:
    boards = boards_of([factory.record("a"), factory.record("b", preset="smoke"), factory.record("c", tasks=FACES)])
    quick = next(board for board in boards if board.key.preset == "quick" and board.dataset.name == "rooms")  # type: ignore[union-attr]
    assert kept_apart(quick, boards) == (
        "not ranked with the nearest other board (rooms, resnet18_small): preset: quick against smoke"
    )
    assert kept_apart(quick, [quick]) == ""


def test_five_budgets_make_a_curve_whose_area_is_exact(factory: Factory) -> None:
    """Δ_T falls in a straight line from a to b, so its mean height is (a + b) / 2, with each seed's own offset."""
    records = []
    for index, share in enumerate(SHARES):
        records += runs_of(factory, "flat", [-1.0 - index + offset for offset in OFFSETS], share)
        records += runs_of(factory, "steep", [-2.0 - 4 * index + 2 * offset for offset in OFFSETS], share)
    data = rows_of(records)
    sweep = Sweep.of(data)
    assert sweep.notice == ""
    assert sweep.span == pytest.approx(Span(0.5003, 0.9003))
    found = {curve.name: summary for curve, summary in sweep.areas["Δ_T"].items()}
    assert found["flat"].mean == pytest.approx(-3.0)
    assert found["steep"].mean == pytest.approx(-10.0)
    assert found["flat"].sd == pytest.approx(0.1)
    assert {curve.name: rank for curve, rank in sweep.ranks.items()} == {"flat": (1, 1), "steep": (2, 2)}
    header, lines = sweep.table(data)
    assert header[:5] == ["Method", "Budgets", "Seeds", "Rank", "Δ_T, %"]
    assert lines[0][:5] == ["flat, structured", "5", "3", "1", "−3.00 [−3.25, −2.75]"]
    assert all(len(line) == len(header) for line in lines)


def test_four_budgets_make_no_curve_and_the_notice_counts_them(factory: Factory) -> None:
    records = [record for share in SHARES[:4] for record in runs_of(factory, "a", [-1.0, -2.0, -3.0], share)]
    sweep = Sweep.of(rows_of(records))
    assert sweep.span is None
    assert sweep.notice == (
        "Points, not curves: 4 budgets a method at most, and a curve with the area under it needs at least 5."
    )


def test_a_method_that_failed_at_one_budget_has_no_curve_beside_one_that_has(factory: Factory) -> None:
    records = [record for share in SHARES for record in runs_of(factory, "a", [-1.0, -2.0, -3.0], share)]
    records += [record for share in SHARES[:4] for record in runs_of(factory, "b", [-1.0, -2.0, -3.0], share)]
    records.append(factory.failed("b", 0, mode="share", share=0.9, run_id="b-failed"))
    sweep = Sweep.of(rows_of(records))
    assert [curve.name for curve in sweep.curves] == ["a"]
    assert sweep.notice == "Left out with fewer than 5 budgets that all of a method's seeds met: b (4)."


def test_a_seed_that_lacks_a_budget_does_not_count_for_the_area(factory: Factory) -> None:
    records = [record for share in SHARES for record in runs_of(factory, "a", [-1.0, -2.0, -3.0], share)]
    sweep = Sweep.of(rows_of(records[:-1]))
    assert [curve.seeds for curve in sweep.curves] == [[0, 1]]
    assert delta_of(sweep.curves[0].rows[0].runs[0]) == -1.0


def test_a_budget_with_too_few_seeds_is_left_out_of_a_curve_that_has_five_others(factory: Factory) -> None:
    records = [record for share in SHARES for record in runs_of(factory, "a", [-1.0, -2.0, -3.0], share)]
    records += runs_of(factory, "a", [-50.0], 0.3)
    (curve,) = Sweep.of(rows_of(records)).curves
    assert curve.seeds == [0, 1, 2]
    assert len(curve.rows) == 5
    assert min(row.achieved.mean for row in curve.rows if row.achieved) > 0.4


def _problem(factory: Factory, name: str, deltas: dict[str, float], **changes: object) -> list[Record]:
    """A board on a dataset of this name: three seeds of every method."""
    records = []
    for method, mean in deltas.items():
        for record in runs_of(factory, method, [mean + offset for offset in OFFSETS], **changes):  # type: ignore[arg-type]
            assert record.dataset
            record.dataset.name = name
            record.run_id += name
            records.append(record)
    return records


def test_methods_are_compared_over_boards_by_their_ranks(factory: Factory) -> None:
    """Ranks 1 2 3 on every problem: averages 1, 2, 3; k = 3, N = 4 give CD 2.343 sqrt(12 / 24)."""
    deltas = {"good": -1.0, "fair": -2.0, "poor": -3.0}
    records = [record for name in "pqrs" for record in _problem(factory, name, deltas)]
    (found,), notice = compare(BoardRows.of(board) for board in boards_of(records))
    assert notice == ""
    assert found.methods == ("good", "fair", "poor")
    assert found.test.average_ranks == (1.0, 2.0, 3.0)
    assert found.test.critical_difference == pytest.approx(2.343 * 0.5**0.5, abs=1e-3)
    assert found.letters == ["a", "ab", "b"]
    assert "3 methods on 4 problems" in found.words
    view = critical_difference_figure(found, "ranks").views[0]
    assert view.numbers[0] == ["good", "1.00", "a"]
    assert view.spec["layout"]["xaxis"]["tickvals"] == [1, 2, 3]
    assert view.spec["data"][0]["error_x"]["array"] == pytest.approx([found.test.critical_difference / 2] * 3, rel=1e-4)


def test_boards_of_one_problem_count_once_and_smoke_runs_never(factory: Factory) -> None:
    deltas = {"good": -1.0, "fair": -2.0, "poor": -3.0}
    records = [record for name in "pq" for record in _problem(factory, name, deltas)]
    records += _problem(factory, "r", deltas, preset="smoke")
    records += _problem(factory, "p", deltas, tasks=SCENE[:2])
    for index, record in enumerate(records):
        record.run_id = f"run-{index}"
    found, notice = compare(BoardRows.of(board) for board in boards_of(records))
    assert found == []
    assert "there are 2 such pairs with 3 methods in common" in notice
