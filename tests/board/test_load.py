from __future__ import annotations

import json
from pathlib import Path

import pytest

from msbench.board.reading.load import load
from tests.board.conftest import Factory


def _damage(folder: Path, **changes: object) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_good_runs_are_read_beside_a_broken_one(factory: Factory, tmp_path: Path) -> None:
    factory.save([factory.record("random"), factory.record("group_lasso")], tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text("{")
    loaded = load(tmp_path)
    assert len(loaded.runs) == 2
    assert [item.folder for item in loaded.unreadable] == ["broken"]


def _dataset(**changes: object) -> dict[str, object]:
    dataset = Factory().record("random").dataset
    assert dataset
    return dataset.model_dump() | changes


def _sparsity(**changes: object) -> dict[str, object]:
    sparsity = Factory().record("random").sparsity
    assert sparsity
    return sparsity.model_dump() | changes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": "many"}, "seed"),
        ({"surprise": 1}, "surprise"),
        ({"run_id": "../../escape"}, "cannot be a file name"),
        ({"run_id": ""}, "cannot be a file name"),
        ({"dataset": _dataset(image=[3, 64])}, "dataset.image needs 3 numbers"),
        ({"sparsity": _sparsity(channels={"conv": [3]})}, "sparsity.channels.conv needs 2 numbers"),
        ({"cost": {"wall_s": float("nan"), "peak_memory": 1}}, "NaN is not a number"),
        ({"cost": {"wall_s": "nan", "peak_memory": 1}}, "record.cost.wall_s is not a finite number"),
    ],
)
def test_a_record_that_pages_cannot_rely_on_is_reported(
    factory: Factory, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    record = factory.record("random")
    factory.save([record], tmp_path)
    _damage(tmp_path / record.run_id, **changes)
    loaded = load(tmp_path)
    assert not loaded.runs
    assert reason in loaded.unreadable[0].reason
    assert str(tmp_path) not in loaded.unreadable[0].reason


def test_two_folders_with_one_run_id_do_not_overwrite_each_other(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    factory.save([record], tmp_path)
    (tmp_path / record.run_id).rename(tmp_path / "copy")
    factory.save([record], tmp_path)
    loaded = load(tmp_path)
    assert len(loaded.runs) == 1
    assert "is also in folder 'copy'" in loaded.unreadable[0].reason


def test_runs_that_are_still_being_written_are_passed_over(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    factory.save([record], tmp_path)
    (tmp_path / record.run_id).rename(tmp_path / ".random.staging")
    assert load(tmp_path) == load(tmp_path / "missing")
