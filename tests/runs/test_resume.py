"""Checkpoints on disk: whole or not used, another run's never, and what attempts cost."""

from __future__ import annotations

import errno
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors import safe_open

from msbench.runs.checkpoints import Earlier, StoredCheckpoints
from msbench.runs.starts import StoredStarts
from msbench.training.state import State
from msbench.training.trainer import Trainer

Make = Callable[..., Trainer]
STATE = State({"a": torch.arange(6.0).view(2, 3), "none": torch.empty(0, dtype=torch.int64)}, {"shared": 0.0, "x": 1})


def kept_in(folder: Path, interval: float = 1e-9, run: str = "toy", ago: float = 0.0) -> StoredCheckpoints:
    return StoredCheckpoints(folder, {"run": run}, interval, time.perf_counter() - ago)


def test_a_checkpoint_comes_back_in_another_process(tmp_path: Path) -> None:
    assert kept_in(tmp_path / "new").save("stage-1", STATE)
    found = kept_in(tmp_path / "new").load("stage-1")
    assert found is not None
    assert found.facts == STATE.facts
    assert all(torch.equal(found.tensors[name], value) for name, value in STATE.tensors.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["stage-1.safetensors"]
    kept_in(tmp_path / "new").drop("stage-1")
    assert kept_in(tmp_path / "new").load("stage-1") is None


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def change_a_fact(path: Path) -> None:
    with safe_open(path, "pt") as file:
        about = file.metadata()["about"]
    quoted, changed = (json.dumps(text).encode() for text in (about, about.replace('"x": 1', '"x": 2')))
    path.write_bytes(path.read_bytes().replace(quoted[1:-1], changed[1:-1]))


@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, empty, change_a_fact])
def test_a_damaged_one_is_not_used_and_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    kept_in(tmp_path).save("stage-1", STATE)
    before = (tmp_path / "stage-1.safetensors").read_bytes()
    damage(tmp_path / "stage-1.safetensors")
    assert (tmp_path / "stage-1.safetensors").read_bytes() != before
    kept = kept_in(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert kept.load("stage-1") is None
    assert "stage-1.safetensors is not used" in caplog.text
    assert kept.save("stage-1", STATE)
    assert kept.load("stage-1") is not None


def test_another_runs_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept_in(tmp_path, ago=5).save("stage-1", STATE)
    other = kept_in(tmp_path, run="other")
    assert other.load("stage-1") is None
    assert other.earlier == Earlier()
    assert "another run's" in caplog.text


def test_a_full_disk_only_leaves_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_in(tmp_path)
    kept.save("stage-1", STATE)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("msbench.runs.checkpoints._sync", Mock(side_effect=full))
    assert not kept.save("stage-1", State(STATE.tensors, {**STATE.facts, "x": 2}))
    assert "was not kept" in caplog.text
    found = kept.load("stage-1")
    assert found is not None
    assert found.facts["x"] == 1, "the older one is still there"
    assert [path.name for path in tmp_path.iterdir()] == ["stage-1.safetensors"]


def test_nothing_is_kept_of_a_run_that_is_shorter_than_the_interval(tmp_path: Path) -> None:
    young, old = kept_in(tmp_path, interval=60, ago=59), kept_in(tmp_path, interval=60, ago=61)
    assert (young.due(), young.worth(59)) == (False, False)
    assert (old.due(), old.worth(6.1), old.worth(5.9)) == (True, True, False)
    old.save("stage-1", STATE)
    assert not old.due()


def test_slow_saving_makes_itself_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("msbench.runs.checkpoints.time.perf_counter", lambda: now[0])
    kept = StoredCheckpoints(tmp_path, {}, 10, started=0)
    monkeypatch.setattr("msbench.runs.checkpoints._sync", lambda path: now.append(now.pop() + 2))
    kept.save("stage-1", STATE)
    now[0] += 199
    assert not kept.due()
    now[0] += 1
    assert kept.due(), "4 seconds in 200"


def test_what_attempts_cost_adds_up(tmp_path: Path) -> None:
    kept_in(tmp_path, ago=100).save("stage-1", STATE)
    second = kept_in(tmp_path, ago=30)
    assert second.earlier.seconds == pytest.approx(100, abs=5)
    second.save("stage-2", State(STATE.tensors, {"shared": 7.0}))
    third = kept_in(tmp_path)
    assert third.earlier.seconds == pytest.approx(130, abs=5)
    assert third.earlier.shared == 7.0


def test_a_plain_first_stage_is_kept_once_and_another_runs_start_counts_as_shared(
    make_trainer: Make, tmp_path: Path
) -> None:
    def run(folder: str) -> Trainer:
        trainer = make_trainer(samples=96)
        trainer.starts = StoredStarts(tmp_path, {"data": "toy"})
        trainer.checkpoints = kept_in(tmp_path / folder)
        trainer.train(steps=6)
        trainer.train(steps=2)
        return trainer

    trained, shared = run("one"), run("two")
    assert len(list(tmp_path.glob("starts/*/*"))) == 1
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["stage-2.safetensors"]
    assert (trained.shared_seconds, trained.history.rows) == (0, shared.history.rows)
    assert shared.shared_seconds > 0
    (again,) = {run("two").shared_seconds}
    assert again == shared.shared_seconds
