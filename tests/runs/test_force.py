"""`run --force`: made again, and the old result stands until the new one is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from msbench.python import run as msbench_run
from msbench.records.record import Record, read_record
from msbench.store.store import Store
from tests.conftest import msbench

ASKED = (
    "run",
    "-s",
    "random",
    "--budget",
    "0.5",
    "--preset",
    "smoke",
    "training.samples=64",
    "engine.measure_seconds=0.1",
)


def record_of(store: Store, name: str) -> tuple[Record, int]:
    path = store.folder(store.resolve(name)) / "record.json"
    return read_record(path), path.stat().st_mtime_ns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A working folder whose store has the run."""
    found = tmp_path_factory.mktemp("force")
    done = msbench(*ASKED, cwd=found, cache=cache)
    assert done.returncode == 0, done.stderr
    return found


def test_what_was_asked_for_is_made_again_and_comes_out_the_same(folder: Path, cache: Path) -> None:
    store = Store(folder / "results")
    (random, before), (_, dense) = record_of(store, "random"), record_of(store, "dense")
    done = msbench(*ASKED, "--force", cwd=folder, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "Ran 1, found 1 in the store." in done.stdout
    again, after = record_of(store, "random")
    assert after > before
    assert again.hashes == random.hashes
    assert again.metrics == random.metrics
    assert record_of(store, "dense")[1] == dense


def test_the_python_function_forces_as_the_command_does(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSBENCH_CACHE", str(cache))
    monkeypatch.chdir(folder)
    store = Store(folder / "results")
    (random, before), (_, dense) = record_of(store, "random"), record_of(store, "dense")

    def again(force: bool) -> Record:
        asked: list[str] = [word for word in ASKED if "=" in word]
        outcome = msbench_run(["random"], budget=0.5, preset="smoke", overrides=asked, force=force)
        assert outcome.good
        return outcome.records[random.run_id]

    assert again(force=False) == random
    assert record_of(store, "random") == (random, before)
    made = again(force=True)
    assert record_of(store, "random")[1] > before
    assert (made.hashes, made.metrics) == (random.hashes, random.metrics)
    assert record_of(store, "dense")[1] == dense


def test_a_repetition_that_fails_leaves_the_old_result(folder: Path, cache: Path) -> None:
    store = Store(folder / "results")
    before = record_of(store, "random")
    done: subprocess.CompletedProcess[str] = msbench(*ASKED, "--force", "--timeout", "0.05", cwd=folder, cache=cache)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "timeout" in done.stdout
    assert record_of(store, "random") == before
    assert not store.staged(before[0].run_id).exists()
    assert "Nothing to run" in msbench(*ASKED, cwd=folder, cache=cache).stdout


def test_why_tells_a_hit_and_what_would_make_a_miss(folder: Path, cache: Path) -> None:
    hit = msbench("results", "why", "random", cwd=folder, cache=cache)
    assert hit.returncode == 0, hit.stdout + hit.stderr
    assert "nothing that decides its numbers has changed" in hit.stdout
    words = [word if word != "training.samples=64" else "training.samples=72" for word in ASKED[1:]]
    miss = msbench("results", "why", *words, cwd=folder, cache=cache)
    assert miss.returncode == 1, miss.stderr
    assert "configuration training.samples 64 -> 72" in miss.stdout
    wrong = msbench("results", "why", cwd=folder, cache=cache)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("msbench: results why: name one run")
