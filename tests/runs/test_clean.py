"""`results clean` frees space, and never takes what something that stays rests on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.records.record import Record, write_record
from msbench.runs.clean import Asked, alone, published_runs, remove, what_to_clean
from msbench.runs.identity.sources import host_digest
from msbench.store.locks import Locks
from msbench.store.store import Store
from tests.board.conftest import Factory

EVERYTHING = Asked(failed=True, superseded=True, starts=True, weights=True)


def record(name: str, **changes: Any) -> Record:
    found = Factory().failed("random") if changes.get("status") else Factory().record("random")
    plain = {**found.model_dump(), "run_id": name, "delta": None, "created": "2026-01-01T00:00:00+00:00"}
    plain["config"] = {"sparsifier": {"name": name.rpartition("-")[0]}}
    made = Record.model_validate({**plain, **changes})
    if made.budget is not None and "budget" not in changes:
        made.budget.reference = None
    return made


def put(store: Store, made: Record) -> Path:
    folder = store.folder(made.run_id)
    folder.mkdir(parents=True)
    write_record(made, folder / "record.json")
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    return folder


def rests_on(name: str, other: str, how: str) -> Record:
    """A run that needs another one in one of four ways."""
    if how == "mask":
        made = record(name)
        made.sparsifier.params["criterion"] = f"mask:{other}"
        return made
    if how == "meta-test":
        return record(name, meta_test={"mode": "same", "task": None, "source": other})
    if how == "reference":
        made = record(name)
        assert made.budget is not None
        made.budget.reference = other
        return made
    delta = {"dense_run": other, "per_task": {"depth": -1.0}, "mean": -1.0, "sum": -1.0, "worst_task": "depth"}
    return record(name, delta=delta)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "results")
    made.open()
    return made


def gone(store: Store, asked: Asked = EVERYTHING, published: tuple[str, ...] = ()) -> set[str]:
    """What would be removed, by place in the store."""
    return {str(r.path.relative_to(store.root)) for r in what_to_clean(store, asked, published).removals}


def test_runs_stay_unless_they_are_asked_to_go(store: Store) -> None:
    put(store, record("bad-1", status="failed"))
    put(store, record("good-1"))
    assert gone(store, Asked()) == set()
    assert gone(store, Asked(failed=True)) == {"runs/bad-1"}


@pytest.mark.parametrize("status", ["failed", "killed", "timeout", "skipped"])
def test_runs_without_a_result_go_as_failed(store: Store, status: str) -> None:
    put(store, record("bad-1", status=status))
    assert gone(store, Asked(failed=True)) == {"runs/bad-1"}


def test_a_diverged_run_is_a_result(store: Store) -> None:
    put(store, record("bad-1", status="diverged"))
    assert gone(store, Asked(failed=True)) == set()


def test_a_run_is_superseded_by_a_later_one_of_the_same_configuration(store: Store) -> None:
    put(store, record("random-s0-1"))
    put(store, record("random-s0-2", created="2026-01-02T00:00:00+00:00"))
    put(store, record("random-s0-3", created="2026-01-03T00:00:00+00:00", config={"training": {"lr": 0.1}}))
    put(store, record("random-s1-4", created="2026-01-03T00:00:00+00:00"))
    assert gone(store, Asked(superseded=True)) == {"runs/random-s0-1"}


def test_a_failed_run_supersedes_nothing(store: Store) -> None:
    put(store, record("random-s0-1"))
    put(store, record("random-s0-2", status="failed", created="2026-01-02T00:00:00+00:00"))
    assert gone(store, Asked(superseded=True)) == set()


@pytest.mark.parametrize("how", ["mask", "meta-test", "reference", "dense"])
def test_what_a_run_that_stays_rests_on_stays(store: Store, how: str) -> None:
    put(store, record("random-s0-1"))
    put(store, record("random-s0-2", created="2026-01-02T00:00:00+00:00"))
    put(store, rests_on("other-s0-3", "random-s0-1", how))
    cleaning = what_to_clean(store, Asked(superseded=True), ())
    assert cleaning.removals == ()
    assert cleaning.kept == {"random-s0-1": "needed by other-s0-3"}


def test_what_only_goes_with_what_needs_it_goes(store: Store) -> None:
    put(store, record("dense-s0-1"))
    put(store, record("dense-s0-2", created="2026-01-02T00:00:00+00:00"))
    put(store, rests_on("random-s0-1", "dense-s0-1", "dense"))
    put(store, record("random-s0-2", created="2026-01-02T00:00:00+00:00"))
    assert gone(store, Asked(superseded=True)) == {"runs/dense-s0-1", "runs/random-s0-1"}


def test_what_is_published_stays_with_all_that_it_rests_on(store: Store) -> None:
    put(store, record("dense-s0-1"))
    put(store, record("dense-s0-2", created="2026-01-02T00:00:00+00:00"))
    put(store, rests_on("random-s0-1", "dense-s0-1", "dense"))
    put(store, record("random-s0-2", created="2026-01-02T00:00:00+00:00"))
    assert gone(store, Asked(superseded=True), ("random-s0-1",)) == set()


def test_weights_go_where_nothing_starts_from_them(store: Store) -> None:
    for name in ("source-s0-1", "alone-s0-1", "published-s0-1"):
        put(store, record(name))
    put(store, rests_on("tested-s0-1", "source-s0-1", "meta-test"))
    found = gone(store, Asked(weights=True), ("published-s0-1",))
    assert found == {"runs/alone-s0-1/model.safetensors", "runs/tested-s0-1/model.safetensors"}


def start(store: Store, name: str, host: str) -> Path:
    folder = store.root / "starts" / name / "16"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"key": {"host": host}}), encoding="utf-8")
    (folder / "state.safetensors").write_bytes(b"s" * 500)
    return folder


def test_a_start_of_other_sources_is_of_no_use(store: Store) -> None:
    start(store, "old", "another digest")
    start(store, "new", host_digest())
    (store.root / "starts" / "torn" / "8").mkdir(parents=True)
    assert gone(store, Asked()) == {"starts/old/16", "starts/torn/8"}
    assert gone(store, Asked(starts=True)) == {"starts/old/16", "starts/new/16", "starts/torn/8"}


def test_leftovers_go_and_what_can_be_gone_on_from_stays(store: Store) -> None:
    staging = store.root / "staging"
    for name, file in {"dead": "log.txt", "trained": "trained.json", "whole": "record.json"}.items():
        (staging / name).mkdir()
        (staging / name / file).write_text("{}", encoding="utf-8")
    (staging / "stopped" / "checkpoint").mkdir(parents=True)
    (staging / "only-copy-1.replaced").mkdir()
    assert gone(store, Asked()) == {"staging/dead"}
    later = time.time() - 3 * 86400
    for path in staging.iterdir():
        os.utime(path, (later, later))
    assert gone(store, Asked(older_than=2)) == {"staging/dead", "staging/trained", "staging/stopped"}
    assert gone(store, Asked(older_than=4)) == set()


def test_only_what_is_old_enough_goes(store: Store) -> None:
    put(store, record("bad-1", status="failed", created="2026-01-01T00:00:00+00:00"))
    put(store, record("bad-2", status="failed", created="2999-01-01T00:00:00+00:00"))
    assert gone(store, Asked(failed=True, older_than=1)) == {"runs/bad-1"}


def test_a_run_that_cannot_be_read_is_left_alone(store: Store) -> None:
    folder = put(store, record("bad-1", status="failed"))
    (folder / "record.json").write_text("{", encoding="utf-8")
    cleaning = what_to_clean(store, EVERYTHING, ())
    assert (cleaning.removals, cleaning.unreadable) == ((), ("bad-1",))


def test_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(Store(outside), record("bad-1", status="failed"))
    (store.runs / "bad-1").symlink_to(outside / "runs" / "bad-1")
    (store.root / "staging" / "link").symlink_to(outside)
    cleaning = what_to_clean(store, EVERYTHING, ())
    assert cleaning.unreadable == ("bad-1",)
    with alone(store) as locks:
        remove(cleaning, locks)
    assert not (store.root / "staging" / "link").exists()
    assert (outside / "runs" / "bad-1" / "record.json").is_file()


def test_sizes_are_those_on_the_disk(store: Store) -> None:
    folder = put(store, record("bad-1", status="failed"))
    expected = sum(path.stat().st_size for path in folder.iterdir())
    assert what_to_clean(store, EVERYTHING, ()).bytes == expected


def test_a_store_in_use_is_refused(store: Store) -> None:
    put(store, record("bad-1", status="failed"))
    with Locks(store.root) as other:
        assert other.acquire("running-1") is None
        with pytest.raises(UserError, match="in use by .* which makes running-1"), alone(store):
            pass


def test_a_published_record_that_cannot_be_read_stops_it(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "record.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not a readable record"):
        published_runs(tmp_path)


def test_the_verb_says_what_goes_and_a_dry_run_touches_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, record("bad-1", status="failed"))
    put(store, record("published-1", status="failed"))
    shelf = tmp_path / "leaderboard" / "records" / "published-1"
    shelf.mkdir(parents=True)
    write_record(record("published-1"), shelf / "record.json")
    (shelf / "published.json").write_text("{}", encoding="utf-8")  # the shelf's own, no record
    monkeypatch.chdir(tmp_path)

    def clean(*flags: str) -> str:
        done = CliRunner().invoke(app, ["results", "clean", "--failed", *flags])
        assert done.exit_code == 0, done.output
        return done.output

    said = clean("--dry-run")
    assert "runs/bad-1  " in said
    assert "ended as failed" in said
    assert "kept: runs/published-1: published" in said
    assert "Would remove 1 files and folders" in said
    assert store.ids() == ["bad-1", "published-1"]
    assert "Removed 1 files and folders" in clean()
    assert store.ids() == ["published-1"]
    assert "Removed 0 files and folders" in clean()
