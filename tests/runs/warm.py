"""Commands, and the processes of their runs, as forks of one process that has imported everything.

A suite then takes seconds, and can be killed many times. Run as a program it kills a suite again and again:

    python -m tests.runs.warm FOLDER CACHE KILLS SEED ARGUMENT...

and prints one JSON object: the kills that fell into a suite, the suites that ended, and what was lost or differs.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from msbench.cli.main import main as cli
from msbench.records.record import Record
from msbench.runs.engines import worker
from msbench.runs.engines.processes import Processes
from msbench.store.store import Store


class Forked:
    """What `Processes` asks of a process, for one that a helper of this command has forked."""

    def __init__(self, stdout: IO[str], status: IO[str]) -> None:
        self.stdout, self._status = stdout, status
        self.pid, self._code = int(status.readline()), None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("run", timeout or 0)
            self._code = int(self._status.readline() or -signal.SIGKILL)
        return self._code


class Helper:
    """A process without threads, from which threads may fork."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        if os.fork() == 0:
            self._ours.close()
            serve(theirs)
        theirs.close()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], errors: IO[str]) -> Forked:
        out, status = os.pipe(), os.pipe()
        with self._lock:
            request = json.dumps([arguments, dict(environment)]).encode()
            socket.send_fds(self._ours, [len(request).to_bytes(4, "big")], [out[1], errors.fileno(), status[1]])
            self._ours.sendall(request)
        os.close(out[1])
        os.close(status[1])
        return Forked(os.fdopen(out[0]), os.fdopen(status[0]))


def serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        size, fds, _, _ = socket.recv_fds(connection, 4, 3)
        if not size:
            os._exit(0)
        request = b""
        while len(request) < int.from_bytes(size, "big"):
            request += connection.recv(int.from_bytes(size, "big") - len(request))
        if os.fork() == 0:
            watch(*json.loads(request), *fds)
        for descriptor in fds:
            os.close(descriptor)


def watch(arguments: list[str], environment: dict[str, str], out: int, errors: int, status: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    me = os.getpid()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.dup2(out, 1)
        os.dup2(errors, 2)
        os.environ.update(environment)
        code = 1
        try:
            code = worker.main([str(me), *arguments])
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    os.close(out)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    os.write(status, f"{child}\n".encode())
    _, ended = os.waitpid(child, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def command(folder: Path, arguments: Sequence[str]) -> int:
    """Start `msbench ARGUMENTS` in a folder as the leader of a process group; its number."""
    folder.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    os.chdir(folder)
    out = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    Processes.start = Helper().start  # type: ignore[method-assign, assignment]
    sys.argv = ["msbench", *arguments]
    code: Any = 1
    try:
        cli()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def result(code: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(code, 0)[1])


def facts(record: Record) -> dict[str, Any]:
    """A record without what depends on the clock."""
    found = record.model_dump(mode="json", exclude={"created", "cost"})
    if found["speedup"]:
        del found["speedup"]["measured"]
    return found


def contents(store: Store) -> dict[str, tuple[dict[str, Any], bytes]]:
    """By finished run, the record's facts and the weights."""
    found = {}
    for run_id in store.ids():
        record = store.find(run_id)
        assert record is not None
        found[run_id] = (facts(record), (store.folder(run_id) / "model.safetensors").read_bytes())
    return found


def kill_again_and_again(folder: Path, kills: int, seed: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Kill suites at random moments and go on, until so many kills fell into one, and the last has ended."""
    draw = random.Random(seed)
    started = time.monotonic()
    assert result(command(folder / "whole", arguments)) == 0
    length = time.monotonic() - started
    expected = contents(Store(folder / "whole" / "results"))
    hits, ended, wrong = 0, 0, list[str]()
    while hits < kills:
        place, finished = folder / f"killed-{ended}", dict[str, Any]()
        store, code = Store(place / "results"), -signal.SIGKILL
        while code == -signal.SIGKILL:
            process = command(place, arguments)
            deadline = time.monotonic() + draw.uniform(0, length / 2 if hits < kills else 1000 * length)
            while (
                time.monotonic() < deadline
                and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            ):
                time.sleep(0.01)
            os.killpg(process, signal.SIGKILL)
            code = result(process)
            hits += code == -signal.SIGKILL
            stamps = {run_id: store.stamp(run_id) for run_id in store.ids()}
            wrong += [f"{run_id} was lost" for run_id in finished if finished[run_id] != stamps.get(run_id)]
            finished = stamps
        wrong += [f"a command ended with {code}"] * (code != 0)
        wrong += [f"{run_id} differs" for run_id, found in contents(store).items() if found != expected.get(run_id)]
        wrong += [f"{run_id} is not there" for run_id in expected if run_id not in stamps]
        wrong += [f"{path.name} was left behind" for path in (store.root / "staging").iterdir()]
        ended += 1
    return {
        "kills": hits,
        "suites": ended,
        "runs": len(expected),
        "wrong": wrong,
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["MSBENCH_CACHE"] = sys.argv[2]
    print(json.dumps(kill_again_and_again(Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])))
