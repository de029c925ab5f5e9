"""Whatever happens to a process, to a run's folder or between two steps of the store: a record, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from msbench.config import EngineConfig
from msbench.plugins import Plugins
from msbench.records.record import Status
from msbench.runs.engines.devices import VISIBLE, Gpus, gpu_names, runs_at_a_time
from msbench.runs.engines.local import LocalEngine
from msbench.runs.trouble import ends_are_interrupts
from msbench.store import durable
from msbench.store import store as store_module
from msbench.store.locks import Locks
from msbench.store.store import Store, write_json
from tests.runs.scripted import TEMPLATE, made, maker_of, planned

DIES = 'if what == "{what}" and run.startswith("random"): {how}'


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("os._exit(7)", "killed", "its process ended with exit code 7: nothing in its log"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "was killed by SIGKILL, as a system does that runs out of"),
        ("os.abort()", "killed", "its process was killed by SIGABRT"),
        ("sys.exit('no good')", "killed", "its process ended with exit code 1: no good"),
    ],
)
def test_a_run_whose_process_dies_is_a_row_and_the_others_go_on(
    plugins: Plugins, tmp_path: Path, how: str, status: str, reason: str
) -> None:
    plan = planned(plugins, tmp_path, "random", "one_shot_magnitude")
    found = made(plugins, tmp_path, plan, DIES.format(what="train", how=how))
    assert (found["dense"].status, found["one_shot_magnitude"].status) == ("ok", "ok")
    assert found["random"].status == status
    assert reason in found["random"].reason
    folder = Store(tmp_path).folder(found["random"].run_id)
    assert not (folder / "model.safetensors").exists(), "half a result is no result"
    assert reason in (folder / "failure.txt").read_text()
    assert not list((tmp_path / "staging").iterdir())


def test_the_end_of_the_log_is_kept_beside_the_reason(plugins: Plugins, tmp_path: Path) -> None:
    how = "raise RuntimeError('\\n'.join(f'line {i}' for i in range(100)))"
    found = made(plugins, tmp_path, planned(plugins, tmp_path, "random"), DIES.format(what="train", how=how))
    folder = Store(tmp_path).folder(found["random"].run_id)
    lines = (folder / "failure.txt").read_text().splitlines()
    assert lines[-1] == "line 99"
    assert len(lines) < 50
    assert "line 0" in (folder / "log.txt").read_text()


def test_an_endless_run_is_stopped_with_all_that_it_started(plugins: Plugins, tmp_path: Path) -> None:
    how = "import subprocess; subprocess.Popen(['sleep', '987']); time.sleep(987)"
    plan = planned(plugins, tmp_path, "random")
    with Locks(tmp_path) as locks:
        behave = DIES.format(what="train", how=how)
        records = LocalEngine(maker_of(plugins, tmp_path, locks, behave, timeout=3)).run(plan)
    assert [record.status for record in records.values()].count("timeout") == 1
    deadline = time.monotonic() + 20
    while (left := sleepers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line == b"sleep\x00987\x00":
            found.append(str(path))
    return found


def test_when_measuring_dies_one_run_says_so_and_the_others_are_measured(plugins: Plugins, tmp_path: Path) -> None:
    plan = planned(plugins, tmp_path, "random", "one_shot_magnitude")
    how = "os.kill(os.getpid(), signal.SIGKILL)"
    found = made(plugins, tmp_path, plan, DIES.format(what="measure", how=how))
    assert (found["dense"].status, found["one_shot_magnitude"].status) == ("ok", "ok")
    assert found["random"].status == "inexact"
    assert found["random"].reason.startswith("measurement failed: its process was killed by SIGKILL")
    assert found["random"].metrics == TEMPLATE.metrics
    assert (Store(tmp_path).folder(found["random"].run_id) / "model.safetensors").is_file()
    again = made(plugins, tmp_path, planned(plugins, tmp_path, "random", "one_shot_magnitude"), "os._exit(1)")
    assert again == found, "nothing is trained again"


def test_a_run_whose_folder_is_removed_while_it_runs_is_a_row(plugins: Plugins, tmp_path: Path) -> None:
    how = "import shutil; shutil.rmtree(first); sys.exit()"
    found = made(plugins, tmp_path, planned(plugins, tmp_path, "random"), DIES.format(what="train", how=how))
    assert found["random"].status == "killed"
    assert found["random"].reason.endswith("was removed while it ran")


# -- the store, step by step -----------------------------------------------------------------------------------------


class PowerCut(BaseException):
    """Nothing runs after it."""


@contextmanager
def power_cut(step: int) -> Iterator[list[str]]:
    """The so-manieth change of the file system from now on does not happen, and nothing after it."""
    done: list[str] = []
    patch = pytest.MonkeyPatch()

    def cut(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def changed(*arguments: Any, **options: Any) -> Any:
            done.append(name)
            if len(done) >= step:
                raise PowerCut
            return real(*arguments, **options)

        patch.setattr(owner, name, changed)

    for owner, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (Path, "write_text")):
        cut(owner, name)
    cut(shutil, "rmtree")
    try:
        yield done
    finally:
        patch.undo()


@pytest.mark.parametrize("replaces", [False, True])
def test_a_commit_that_is_cut_off_anywhere_loses_nothing(tmp_path: Path, replaces: bool) -> None:
    step, ended = 0, False
    while not ended:
        step += 1
        store = Store(tmp_path / str(step))
        store.open()
        if replaces:
            store.begin("run")
            store.commit("run", TEMPLATE.model_copy(update={"run_id": "run", "status": "failed"}))
        folder = store.begin("run", {"run_id": "run"})
        (folder / "model.safetensors").write_text("weights")
        trained = TEMPLATE.model_copy(update={"run_id": "run"})
        store.keep_trained("run", trained)
        try:
            with power_cut(step):
                store.commit("run", trained)
            ended = True
        except PowerCut:
            pass
        store = Store(store.root)
        store.open()
        store.recover("run")
        place = store.folder("run") if (found := store.reusable("run")) is not None else store.staged("run")
        assert (found or store.trained("run")) == trained
        assert (place / "model.safetensors").read_text() == "weights"
        assert not ended or not list((store.root / "staging").iterdir())
    assert step > 5


def test_files_are_on_the_disk_before_the_rename_that_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, rename = durable.flush, Path.rename

    def flushed(path: Path) -> None:
        order.append(f"flush {path.name.split('.')[1] if path.name.startswith('.') else path.name}")
        flush(path)

    def renamed(path: Path, target: Path) -> Path:
        order.append(f"rename {path.name}")
        return rename(path, target)

    store = Store(tmp_path)
    store.open()
    (store.begin("run") / "model.safetensors").write_text("weights")
    for module in (durable, store_module):
        monkeypatch.setattr(module, "flush", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    store.commit("run", TEMPLATE.model_copy(update={"run_id": "run"}))
    expected = ["flush model.safetensors", "flush run", "flush record", "flush run", "rename run", "flush runs"]
    assert order == expected


def test_a_checkpoint_survives_for_the_same_job_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = {"run_id": "run", "target": 0.5, "reference": None}

    def checkpoint(now: dict[str, Any] | None) -> bool:
        folder = store.begin("run", job)
        (folder / "checkpoint").mkdir(exist_ok=True)
        (folder / "checkpoint" / "state").write_text("state")
        (folder / "model.safetensors").write_text("half")
        folder = store.begin("run", now)
        assert {path.name for path in folder.iterdir()} <= {"checkpoint", "job.json", "log.txt"}
        return (folder / "checkpoint" / "state").is_file()

    assert checkpoint({**job, "command": "another"})
    assert not checkpoint({**job, "target": 0.4})
    assert not checkpoint(None)
    folder = store.begin("run", job)
    (folder / "checkpoint").mkdir()
    store.commit("run", TEMPLATE.model_copy(update={"run_id": "run"}))
    assert {path.name for path in store.folder("run").iterdir()} == {"record.json"}


@pytest.mark.parametrize(("status", "goes_on"), [("killed", True), ("timeout", True), ("failed", False)])
def test_a_run_that_was_stopped_keeps_its_checkpoint(tmp_path: Path, status: Status, goes_on: bool) -> None:
    store = Store(tmp_path)
    job = {"run_id": "run", "target": None, "reference": None}
    folder = store.begin("run", job)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "state").write_text("state")
    (folder / "log.txt").write_text("begun\n")
    store.commit("run", TEMPLATE.model_copy(update={"run_id": "run", "status": status, "reason": "so"}))

    folder = store.begin("run", job)

    assert (folder / "checkpoint" / "state").is_file() is goes_on
    assert (folder / "log.txt").is_file() is goes_on
    record = store.find("run")  # the failure stands until the next attempt has ended
    assert record is not None
    assert record.status == status


def test_a_torn_trained_record_is_not_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.begin("run") / "trained.json").write_text('{"run_id": "ru')
    assert store.trained("run") is None


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json({"a": 1}, path)
    with pytest.raises(OSError, match="Is a directory|Not a directory"):
        durable.write_whole(path, lambda aside: aside.mkdir())
    assert path.read_text() == '{\n "a": 1\n}\n'


# -- signals, GPUs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_is_an_interrupt(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), ends_are_interrupts():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with ends_are_interrupts():
            signal.raise_signal(number)  # as under nohup
    finally:
        signal.signal(number, before)


def test_each_run_gets_the_gpu_with_the_fewest_runs() -> None:
    gpus = Gpus(["0", "1", "GPU-x"])
    with gpus.some(1) as a, gpus.some(1) as b:
        with gpus.some(1) as c:
            assert [a, b, c] == [{VISIBLE: "0"}, {VISIBLE: "1"}, {VISIBLE: "GPU-x"}]
            with gpus.some(1) as fourth:
                assert fourth == {VISIBLE: "0"}
        with gpus.some(1) as again:
            assert again == {VISIBLE: "GPU-x"}
    with Gpus([]).some(1) as none:
        assert none == {}


@pytest.mark.parametrize(
    ("engine", "count", "environment", "names", "jobs"),
    [
        ({"device": "cuda"}, 4, {}, ("0", "1", "2", "3"), 4),
        ({"device": "auto"}, 2, {VISIBLE: "3, GPU-x"}, ("3", "GPU-x"), 2),
        ({"device": "cuda", "jobs": 8}, 4, {}, ("0", "1", "2", "3"), 8),
        ({"device": "cuda:1"}, 4, {}, (), 1),
        ({"device": "auto"}, 0, {}, (), 6),
        ({"device": "cpu", "threads": 4}, 4, {}, (), 1),
    ],
)
def test_gpus_are_shared_out_unless_one_is_named(
    engine: dict[str, Any], count: int, environment: dict[str, str], names: tuple[str, ...], jobs: int
) -> None:
    config = EngineConfig(**engine)
    assert gpu_names(config, count, environment) == names
    assert runs_at_a_time(config, len(names), cores=6) == jobs


def test_a_run_is_told_its_gpu(plugins: Plugins, tmp_path: Path) -> None:
    plan = planned(plugins, tmp_path, "dense")
    with Locks(tmp_path) as locks:
        maker = maker_of(plugins, tmp_path, locks, f"if what == 'train': sys.exit(os.environ.get('{VISIBLE}'))")
        maker._shared_gpus = Gpus(["7"])
        (record,) = LocalEngine(maker).run(plan).values()
    assert record.reason.endswith("exit code 1: 7")


def test_a_worker_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    start = "import subprocess, sys, os; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid, flush=True)"
    watch = f"from msbench.runs.engines.worker import _end_with; import time; _end_with({os.getpid()}); time.sleep(600)"
    done = subprocess.run([sys.executable, "-c", start, watch], check=True, capture_output=True, text=True, timeout=300)
    worker = int(done.stdout)  # its parent is gone, and was not this process
    deadline = time.monotonic() + 300
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}/stat").exists()
