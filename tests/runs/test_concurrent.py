"""Several commands on one store: each run is made once, by one of them, and all end with the same records."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from msbench.plugins import Plugins
from msbench.records.record import Record
from msbench.runs.engines.local import LocalEngine
from msbench.runs.engines.making import Maker
from msbench.runs.plan import PlannedRun
from msbench.runs.starts import StoredStarts
from msbench.store.locks import Locks
from msbench.store.owner import Owner
from msbench.store.store import Store
from msbench.training.state import State
from tests.conftest import msbench
from tests.runs.scripted import Scripted, Seen, maker_of, planned

SETS = (
    ("random", "one_shot_magnitude", "regrowth"),
    ("regrowth", "one_shot_magnitude", "random"),
    ("one_shot_magnitude", "random"),
)


def together(makers: list[Maker], plans: list[list[PlannedRun]]) -> list[dict[str, Record]]:
    """Run plans at once, each in a thread with locks of its own."""
    start = threading.Barrier(len(makers))

    def one(maker: Maker, plan: list[PlannedRun]) -> dict[str, Record]:
        start.wait()
        with maker.locks:
            return LocalEngine(maker).run(plan)

    with ThreadPoolExecutor(len(makers)) as pool:
        return list(pool.map(one, makers, plans))


def scripted(maker: Maker) -> Scripted:
    assert isinstance(maker.processes, Scripted)
    return maker.processes


def test_commands_over_overlapping_sets_make_each_run_once(plugins: Plugins, tmp_path: Path) -> None:
    plans = [planned(plugins, tmp_path, *names) for names in SETS]
    makers = [maker_of(plugins, tmp_path, Locks(tmp_path), "time.sleep(0.1)") for _ in SETS]
    found = together(makers, plans)
    started = [run_id for maker in makers for run_id in scripted(maker).started]
    assert len(started) == len(set(started)) == 4, "dense and three more"
    everything = {run_id: Store(tmp_path).find(run_id) for run_id in Store(tmp_path).ids()}
    assert set(everything) == set(started)
    for plan, records in zip(plans, found, strict=True):
        assert records == {run.run_id: everything[run.run_id] for run in plan}
    waits = [wait for maker in makers if isinstance(maker.display, Seen) for wait in maker.display.waits]
    assert {owner for _, owner in waits} == {str(makers[0].locks.owner)}, "host and process are told"
    assert not list((tmp_path / "staging").iterdir())
    assert not list((tmp_path / "locks").iterdir())


def test_a_failure_of_another_command_is_a_row_here_too(plugins: Plugins, tmp_path: Path) -> None:
    plan = planned(plugins, tmp_path, "random")
    behave = "time.sleep(0.3)\nif run.startswith('random'): os._exit(3)"
    makers = [maker_of(plugins, tmp_path, Locks(tmp_path), behave) for _ in range(2)]
    first, second = together(makers, [plan, plan])
    assert first == second
    assert sorted(record.status for record in first.values()) == ["killed", "ok"]
    assert sum(len(scripted(maker).started) for maker in makers) == 2


@pytest.mark.parametrize("stage", ["begun", "trained", "committing"])
def test_what_a_dead_command_leaves_is_taken_over(plugins: Plugins, tmp_path: Path, stage: str) -> None:
    plan = planned(plugins, tmp_path, "random")
    dead = Owner.here().model_copy(update={"pid": 2**22 + 1, "token": "dead"})  # above any process number
    with Locks(tmp_path, owner=dead) as locks:
        maker = maker_of(plugins, tmp_path, locks, "" if stage != "begun" else "os._exit(1)")
        maker.before = {run.run_id: None for run in plan}
        store = maker.store
        for run in plan:
            assert locks.acquire(run.run_id) is None
            if stage == "begun":
                (store.begin(run.run_id) / "model.safetensors").write_text("half")
                continue
            maker.processes.run(run.run_id, ["train", str(store.begin(run.run_id, {}))], tmp_path / "log")
            if stage == "committing":
                record = store.trained(run.run_id)
                assert record is not None
                (store.staged(run.run_id) / "record.json").write_text(record.model_dump_json())
        other = maker_of(plugins, tmp_path, Locks(tmp_path))
        ((records),) = together([other], [plan])
    assert {record.status for record in records.values()} == {"ok"}
    assert len(scripted(other).started) == (len(plan) if stage == "begun" else 0)
    for run in plan:
        assert (store.folder(run.run_id) / "model.safetensors").read_text() == run.run_id
    assert not list((tmp_path / "staging").iterdir())


def test_a_run_that_another_machine_took_over_is_stopped_here_and_awaited(plugins: Plugins, tmp_path: Path) -> None:
    plan = planned(plugins, tmp_path, "dense")
    run_id = plan[0].run_id
    here = Locks(tmp_path, beat=0.05)
    maker = maker_of(plugins, tmp_path, here, "time.sleep(600)")
    with ThreadPoolExecutor(1) as pool, Locks(tmp_path) as there:
        future = pool.submit(together, [maker], [plan])
        while not scripted(maker).started:
            threading.Event().wait(0.02)
        (tmp_path / "locks" / run_id / "1").unlink()  # as if this machine had slept
        assert there.acquire(run_id) is None
        other = maker_of(plugins, tmp_path, there)
        other.before = {run_id: None}
        folder = other.store.begin(run_id, {})
        other.processes.run(run_id, ["train", str(folder)], folder / "log.txt")
        other.processes.run("measure", ["measure", str(tmp_path), run_id], tmp_path / "log")
        there.release(run_id)
        (records,) = future.result(timeout=60)
    assert records[run_id] == Store(tmp_path).find(run_id)
    assert scripted(maker).started == [run_id]


def test_a_start_that_two_make_at_a_time_stays_whole(tmp_path: Path) -> None:
    starts = StoredStarts(tmp_path, {"data": "x"})
    start = State({"weight": torch.arange(1000.0)}, {"step": 3})
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(starts.save, {}, start) for _ in range(40)]:
            done.result()
    found = starts.find({}, 3)
    assert found is not None
    assert torch.equal(found.tensors["weight"], start.tensors["weight"])
    assert not list((tmp_path / "staging").iterdir())


@pytest.mark.long
def test_two_real_commands_at_a_time(tmp_path: Path, cache: Path) -> None:
    common = ("--budget", "0.5", "--preset", "smoke", "engine.jobs=1", "training.samples=64")
    with ThreadPoolExecutor(2) as pool:
        asked = ("random,one_shot_magnitude", "one_shot_magnitude,random,regrowth")
        futures = [pool.submit(msbench, "run", "-s", names, *common, cwd=tmp_path, cache=cache) for names in asked]
        ended = [future.result() for future in futures]
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    started = [line for done in ended for line in done.stdout.splitlines() if line.endswith(": started")]
    assert len(started) == len(set(started)) == 4
    assert "another msbench is at it" in ended[0].stdout + ended[1].stdout
    again = msbench("run", "-s", asked[1], *common, cwd=tmp_path, cache=cache)
    assert "Nothing to run: all 4 runs are in the store." in again.stdout
    page = (tmp_path / "results" / "leaderboard" / "data.json").read_text(encoding="utf-8")
    assert all(line.split(":")[0] in page for line in started)


@pytest.mark.long
def test_a_measuring_process_that_is_killed_costs_one_measurement(tmp_path: Path, cache: Path) -> None:
    asked = ("run", "-s", "random,one_shot_magnitude", "--budget", "0.5", "--preset", "smoke", "training.samples=64")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(msbench, *asked, cwd=tmp_path, cache=cache)
        while (process := measuring(tmp_path)) is None and not future.done():
            time.sleep(0.2)
        assert process is not None
        os.kill(process, signal.SIGKILL)
        done = future.result()
    assert done.returncode == 1, done.stderr
    store = Store(tmp_path / "results")
    records = [store.find(run_id) for run_id in store.ids()]
    assert sorted(record.status for record in records if record) == ["inexact", "ok", "ok"]
    (hurt,) = (record for record in records if record and record.status == "inexact")
    assert "was killed by SIGKILL" in hurt.reason
    assert hurt.metrics


def measuring(folder: Path) -> int | None:
    """The process that measures a store's runs, if there is one."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode().split("\0")
            if "msbench.runs.engines.worker" in words and "measure" in words and str(folder / "results") in words:
                return int(path.parent.name)
    return None
