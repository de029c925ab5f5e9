from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msbench.board.comparison.grouping import Board, canonical, group
from msbench.board.reading.load import Run
from msbench.records.record import Record
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


@pytest.mark.parametrize("data", [{"batch": 4}, "rooms", None])
def test_a_configuration_that_does_not_name_its_dataset_stops_nothing(factory: Factory, data: object) -> None:
    boards, unplaced = _group([factory.record("random"), factory.record("group_lasso", config={"data": data})])
    assert sum(len(board.runs) for board in boards) + len(unplaced) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_text_is_json_that_forgets_the_order_of_keys_only(value: Any) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True)
    assert canonical(_turned(value)) == canonical(value)


def _turned(value: Any) -> Any:
    """The same value with every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: _turned(item) for key, item in reversed(value.items())}
    return [_turned(item) for item in value] if isinstance(value, list) else value


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
