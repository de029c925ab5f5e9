"""Loggers hear of a run, and one that fails does not take the run with it."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from msbench_plugins.loggers import tensorboard
from tests.conftest import msbench

LOGGER = """
import json
from msbench.api import hookimpl

def note(**event):
    with open("events.jsonl", "a") as file:
        file.write(json.dumps(event) + "\\n")

@hookimpl
def msbench_run_started(run):
    note(event="started", run=run["run_id"], there=run["folder"].is_dir(), seed=run["config"]["seed"])

@hookimpl
def msbench_epoch_finished(run, history):
    note(event="epoch", samples=history["samples"], score=history["validation/score"])

@hookimpl
def msbench_run_finished(record):
    note(event="finished", status=record.status)
    raise RuntimeError("the disk of the tracker is full")
"""


def test_loggers_hear_of_a_run(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "logger.py").write_text(LOGGER, encoding="utf-8")
    done = msbench("run", "-s", "dense", "--preset", "smoke", "--plugin", "logger.py", cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["event"] for event in events] == ["started", "epoch", "epoch", "finished"]
    assert (events[0]["there"], events[0]["seed"]) == (True, 0)
    assert [event["samples"] for event in events[1:3]] == [160, 320]
    assert all(0 < event["score"] < 10 for event in events[1:3])
    (log,) = (tmp_path / "results" / "runs").glob("*/log.txt")
    assert "the disk of the tracker is full" in log.read_text(encoding="utf-8")


def test_tensorboard_gets_every_value_at_its_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, log_dir: str) -> None:
            assert Path(log_dir) == tmp_path / "tensorboard"

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *error: object) -> None:
            written.append(("closed", 0.0, 0))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

    fake: Any = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    tensorboard.msbench_epoch_finished({"folder": tmp_path}, {"loss/depth": 0.5, "samples": 40})
    assert written == [("loss/depth", 0.5, 40), ("samples", 40, 40), ("closed", 0.0, 0)]


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tensorboard.msbench_epoch_finished({"folder": tmp_path}, {"samples": 40})
    assert not list(tmp_path.iterdir())
