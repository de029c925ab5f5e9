from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from msbench.board.grouping import Board, group
from msbench.board.load import Run
from msbench.runs.record import Record
from tests.board.conftest import FACES, Factory


def _group(records: list[Record]) -> tuple[list[Board], list[Run]]:
    return group(Run(record, Path()) for record in records)


def test_all_methods_and_budgets_of_one_setting_share_a_board(factory: Factory) -> None:
    boards, unplaced = _group([*factory.scene(), factory.record("random", 0, mode="share", share=0.9)])
    assert len(boards) == 1
    assert not unplaced


def test_different_datasets_give_separate_boards(factory: Factory) -> None:
    records = [factory.record(name, tasks=tasks) for name in ("dense", "random") for tasks in (FACES, ("depth",))]
    boards, _ = _group(records)
    assert sorted(len(board.everything) for board in boards) == [2, 2]
    assert all(len(board.dense) == 1 for board in boards)


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "smoke"},
        {"metric_version": 2},
        {"allowance": {"samples": 10_000, "spent": 10_000}},
        {"hashes": {"data": "other"}},
        {"config": {"training": {"lr": 0.1}}},
    ],
)
def test_what_may_not_be_ranked_together_is_apart(factory: Factory, change: dict[str, Any]) -> None:
    boards, _ = _group([factory.record("random"), factory.record("group_lasso", **change)])
    assert len(boards) == 2


def test_budget_scope_and_unit_separate_boards(factory: Factory) -> None:
    other = factory.record("group_lasso")
    assert other.budget
    other.budget.unit = "macs"
    assert len(_group([factory.record("random"), other])[0]) == 2


def test_a_run_that_failed_early_joins_the_only_board_that_fits(factory: Factory) -> None:
    early = factory.early("adapmtl")
    boards, unplaced = _group([factory.record("random"), early])
    assert [run.record.sparsifier.name for run in boards[0].runs] == ["random", "adapmtl"]
    assert not unplaced


def test_configuration_tells_the_board_of_a_run_that_failed_early(factory: Factory) -> None:
    early = factory.early("adapmtl", config={"data": {"name": "faces"}})
    rooms = factory.record("random", config={"data": {"name": "rooms"}})
    faces = factory.record("random", tasks=FACES, config={"data": {"name": "faces"}})
    boards, unplaced = _group([rooms, faces, early])
    assert [len(board.runs) for board in boards] == [2, 1]
    assert not unplaced


def test_a_failed_run_that_could_be_on_several_boards_is_kept_apart(factory: Factory) -> None:
    early = factory.early("adapmtl")
    boards, unplaced = _group([factory.record("random"), factory.record("random", tasks=FACES), early])
    assert len(boards) == 2
    assert [run.record.sparsifier.name for run in unplaced] == ["adapmtl"]


def test_a_dense_control_is_on_every_board_that_refers_to_it(factory: Factory) -> None:
    dense, backbone, model = factory.record("dense"), factory.record("random"), factory.record("group_lasso")
    for record in (backbone, model):
        assert record.delta
        record.delta.dense_run = dense.run_id
    assert model.budget
    model.budget.scope = "model"
    boards, _ = _group([dense, backbone, model])
    assert [[run.run_id for run in board.dense] for board in boards] == [[dense.run_id]] * 2


def test_a_dense_control_alone_is_a_board(factory: Factory) -> None:
    boards, _ = _group([factory.record("dense")])
    assert [(len(board.dense), len(board.runs)) for board in boards] == [(1, 0)]


def test_slugs_are_unique_and_stable(factory: Factory) -> None:
    records = [factory.record("random"), factory.record("random", preset="smoke")]
    slugs = [board.slug for board in _group(records)[0]]
    assert len(set(slugs)) == 2
    assert sorted(slugs) == sorted(board.slug for board in _group(records[::-1])[0])
