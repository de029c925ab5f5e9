"""`engine=ray` on several nodes, here raylets of one machine: a node dies, a run is taken away, an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from msbench.runs.engines.ray_node import ATTEMPT
from tests.runs.processes import command_lines
from tests.runs.ray_plugins import MARK
from tests.runs.ray_suites import Told, assert_same, suite

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
METHODS = ("one_shot_magnitude", "random", "snip")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that runs nothing; nodes are for a test to add."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield found
    found.shutdown()


def until(what: Callable[[], object], seconds: float = 300) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def test_the_runs_of_a_node_that_dies_are_made_on_another(cluster: Any, tmp_path: Path, cache: Path) -> None:
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    removed = threading.Event()
    display: Told

    def kill_one(run_id: str, share: float) -> None:
        busy = len(display.starts) >= 2 and len(display.shares) >= 2
        if busy and not removed.is_set():
            removed.set()
            threading.Thread(target=cluster.remove_node, args=(nodes[0],), kwargs={"allow_graceful": False}).start()

    display = Told(kill_one)
    longer = ("training.samples=640", "training.evaluations=8")
    by_ray = ("engine=ray", f"engine.address={cluster.address}")
    records = suite(tmp_path / "ray", cache, METHODS, *longer, *by_ray, display=display)
    assert removed.is_set()
    assert {record.status for record in records.values()} == {"ok"}
    logs = [(tmp_path / "ray" / "runs" / run_id / "log.txt").read_text(encoding="utf-8") for run_id in records]
    assert sum("it is started again" in log for log in logs) == 1
    suite(tmp_path / "local", cache, METHODS, *longer)
    assert_same(tmp_path / "ray", tmp_path / "local", records)


def test_a_run_that_is_always_lost_becomes_a_row(
    cluster: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    cluster.add_node(num_cpus=2)
    by_ray = ("engine=ray", f"engine.address={cluster.address}", "engine.retries=1")
    records = suite(tmp_path, cache, ("lost_always",), *by_ray)
    ends = {record.sparsifier.name: record for record in records.values()}
    assert ends["dense"].status == "ok"
    assert ends["lost_always"].status == "killed"
    assert ends["lost_always"].reason.startswith("its process was lost 2 times (WorkerCrashedError of ")
    assert (tmp_path / "runs" / ends["lost_always"].run_id / "failure.txt").is_file()


def test_a_node_stops_a_run_that_was_given_to_another(cluster: Any, tmp_path: Path, cache: Path) -> None:
    cluster.add_node(num_cpus=1)
    found: dict[str, str] = {}

    def take_away(run_id: str, share: float) -> None:
        if not found:
            found[run_id] = ""
            (tmp_path / "staging" / run_id / ATTEMPT).write_text("another", encoding="utf-8")

    longer = ("training.samples=6400", "training.evaluations=100")
    by_ray = ("engine=ray", f"engine.address={cluster.address}")
    records = suite(tmp_path, cache, ("dense",), *longer, *by_ray, display=Told(take_away))
    (record,) = records.values()
    assert record.status == "killed"
    assert "was killed by SIGKILL" in record.reason


def ours(folder: Path) -> list[str]:
    """Processes of Ray that lie in a folder, and workers of a store there."""
    return [
        line
        for line in command_lines()
        if str(folder) in line and ("msbench.runs.engines.worker" in line or "/ray/" in line)
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_nothing_behind(tmp_path: Path, cache: Path, number: signal.Signals) -> None:
    base = Path("/tmp") / f"msb-{os.getpid()}-{int(number)}"  # Ray's sockets lie there: their paths must be short
    base.mkdir()
    command = ["run", "-s", "dense", "--budget", "0.5", "--preset", "smoke", "engine=ray", "training.samples=64000"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts
    child = subprocess.Popen(
        [sys.executable, "-m", "msbench.cli.main", *command],
        cwd=tmp_path,
        env={**os.environ, "MSBENCH_CACHE": str(cache), "RAY_TMPDIR": str(base)},
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    until(lambda: child.poll() is not None or any("msbench.runs.engines.worker" in line for line in ours(tmp_path)))
    time.sleep(1)
    child.send_signal(number)
    _, errors = child.communicate(timeout=120)
    if number != signal.SIGKILL:
        assert child.returncode == 130
        assert errors.startswith("msbench: interrupted"), errors
        assert list(base.iterdir()) == []
        assert list((tmp_path / "results").glob(".msbench-*")) == []
    until(lambda: not ours(tmp_path) and not ours(base), 30)
    assert list((tmp_path / "results" / "runs").iterdir()) == []
    for path in sorted(base.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    base.rmdir()
