"""Locks of a store: one holder at a time, and a dead holder's lock goes to exactly one other."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from msbench.store import locks as module
from msbench.store.locks import FOLDER, Locks, holder
from msbench.store.owner import Owner

BEAT, PATIENCE = 0.05, 60.0
HOLD = """
import sys, time
from pathlib import Path
from msbench.store.locks import Locks
with Locks(Path(sys.argv[1])) as locks:
    assert locks.acquire("run") is None
    print("held", flush=True)
    time.sleep(60)
"""


def elsewhere() -> Owner:
    """A process of another machine, of which only the heartbeat is seen."""
    here = Owner.here()
    return here.model_copy(update={"host": "other", "space": here.token, "pid": 1})


def locks_of(root: Path, owner: Owner | None = None, lost: Callable[[str], None] = lambda name: None) -> Locks:
    return Locks(root, lost, BEAT, PATIENCE, owner if owner is not None else elsewhere())


@pytest.fixture
def held_elsewhere(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock `run` until it is killed."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_lock_is_held_once_and_given_back_without_a_trace(tmp_path: Path) -> None:
    with locks_of(tmp_path) as first, locks_of(tmp_path) as second:
        assert first.acquire("run") is None
        assert second.acquire("run") == first.owner
        assert second.holder("run") == holder(tmp_path, "run") == first.owner
        assert second.acquire("other run") is None
        first.release("run")
        assert second.holder("run") is None
        assert second.acquire("run") is None
        assert not first.holds("run")
    assert not list((tmp_path / FOLDER).iterdir())


def test_a_lock_of_a_killed_process_is_taken_over_at_once_and_not_before(
    tmp_path: Path, held_elsewhere: subprocess.Popen[str]
) -> None:
    with Locks(tmp_path) as locks:
        owner = locks.acquire("run")
        assert owner is not None
        assert str(owner).endswith(f"process {held_elsewhere.pid}")
        held_elsewhere.send_signal(signal.SIGSTOP)  # stopped is not dead
        assert locks.acquire("run") == owner
        held_elsewhere.kill()
        os.waitid(os.P_PID, held_elsewhere.pid, os.WEXITED | os.WNOWAIT)  # not yet reaped: a zombie makes nothing
        assert locks.acquire("run") is None
        assert [path.name for path in (tmp_path / FOLDER / "run").iterdir()] == ["2"]


def test_a_process_number_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    here = Owner.here()
    with locks_of(tmp_path, here.model_copy(update={"started": "1", "token": "earlier"})) as earlier:
        assert earlier.acquire("run") is None
        with locks_of(tmp_path, here) as locks:
            assert locks.acquire("run") is None


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(BEAT)


def test_another_machine_is_dead_when_its_heart_stops(tmp_path: Path) -> None:
    lost: list[str] = []
    lock = tmp_path / FOLDER / "run" / "1"
    with locks_of(tmp_path, lost=lost.append) as first, locks_of(tmp_path) as second:
        assert first.acquire("run") is None
        os.utime(lock, (0, 0))
        until(lambda: lock.stat().st_mtime > 0)
        assert second.acquire("run") == first.owner, "its heart beats"
        first._ended.set()
        first._thread.join()  # as if it were suspended
        assert second.acquire("run") == first.owner, "its last heartbeat is young"
        long_ago = lock.stat().st_mtime - 2 * PATIENCE
        os.utime(lock, (long_ago, long_ago))
        assert second.acquire("run") is None
        assert second.holds("run")
        assert not first.holds("run")
        first._ended.clear()
        beating = threading.Thread(target=first._beat_on, daemon=True)
        beating.start()  # it wakes, and learns at its next heartbeat
        until(lambda: lost == ["run"])
        first._ended.set()
        beating.join()
        first.release("run")
        assert second.holds("run"), "what was lost cannot be given back"


def test_a_lock_of_the_same_number_that_another_made_later_is_not_ours(tmp_path: Path) -> None:
    with locks_of(tmp_path) as first, locks_of(tmp_path) as second:
        assert first.acquire("run") is None
        (tmp_path / FOLDER / "run" / "1").unlink()
        assert second.acquire("run") is None
        assert not first.holds("run")
        first.release("run")
        assert second.holds("run")


def test_clocks_that_differ_by_hours_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locks_of(tmp_path) as first, locks_of(tmp_path) as second:
        assert first.acquire("run") is None
        for skew in (-7200.0, 7200.0):
            now = time.time() + skew
            monkeypatch.setattr(time, "time", lambda now=now: now)
            assert second.acquire("run") == first.owner
            monkeypatch.undo()


def test_of_many_that_take_over_one_gets_it(tmp_path: Path) -> None:
    dead = Owner.here().model_copy(update={"pid": 2**22 + 1, "token": "dead"})  # above any process number
    (tmp_path / FOLDER / "run").mkdir(parents=True)
    (tmp_path / FOLDER / "run" / "7").write_text(dead.model_dump_json())
    many = [Locks(tmp_path, owner=Owner.here()) for _ in range(8)]
    start = threading.Barrier(len(many))

    def contend(locks: Locks) -> bool:
        start.wait()
        return locks.acquire("run") is None

    for locks in many:
        locks.__enter__()
    with ThreadPoolExecutor(len(many)) as pool:
        assert sum(pool.map(contend, many)) == 1
    for locks in many:
        locks.__exit__(None, None, None)


@pytest.mark.parametrize("links", [True, False])
def test_what_a_lock_guards_is_done_by_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(module, "WAIT", 0.002)
    counter, inside, together = tmp_path / "counter", [0], []
    counter.write_text("0")

    def work() -> None:
        with Locks(tmp_path, owner=Owner.here()) as locks:
            for _ in range(5):
                with locks.held("counter"):
                    inside[0] += 1
                    together.append(inside[0])
                    counter.write_text(str(int(counter.read_text()) + 1))
                    inside[0] -= 1

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result()
    assert counter.read_text() == "30"
    assert set(together) == {1}


def test_a_lock_that_cannot_be_read_is_respected_while_it_is_young(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "run").mkdir(parents=True)
    lock = tmp_path / FOLDER / "run" / "1"
    lock.touch()
    with locks_of(tmp_path) as locks:
        assert locks.acquire("run") is not None
        os.utime(lock, (0, 0))
        assert locks.acquire("run") is None


def test_a_store_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with locks_of(tmp_path) as locks:
        assert locks.acquire("run") is None
        for path in sorted((tmp_path / FOLDER).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / FOLDER).rmdir()
        assert not locks.holds("run")
        with pytest.raises(FileNotFoundError):
            locks.acquire("other")
