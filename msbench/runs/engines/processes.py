"""Processes of runs: started, listened to, and stopped with all that they have started themselves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKER = "msbench.runs.engines.worker"


@dataclass(frozen=True)
class Ended:
    """How a process ended. code: its exit code, or minus the signal that killed it."""

    code: int
    timed_out: bool = False

    def __str__(self) -> str:
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        memory = ", as a system does that runs out of memory" if self.code == -signal.SIGKILL else ""
        return f"was killed by {name}{memory}"


@dataclass
class Processes:
    """The processes of one command, each the leader of a group, which ends with it."""

    threads: int
    _children: dict[str, subprocess.Popen[str]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def stopping(self) -> bool:
        """Whether `stop_all` was called: what ends now has not failed."""
        return self._stopping.is_set()

    def run(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        hear: Callable[[Mapping[str, Any]], None] = lambda event: None,
        extra: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Ended:
        """Run a worker to its end; its events go to `hear`, what it prints to `log`; `limit`: seconds it may take."""
        threads = {"OMP_NUM_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("a", encoding="utf-8") as errors:
            child = self.start(arguments, {**os.environ, **threads, **(extra or {})}, errors)
        with self._lock:
            self._children[name] = child
            stopping = self.stopping
        if stopping:
            _kill(child)
        listener = threading.Thread(target=_listen, args=(child, hear), daemon=True)
        listener.start()
        timed_out = False
        try:
            child.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        _kill(child)  # what it left running would keep its pipe open
        code = child.wait()
        listener.join(timeout=10)
        with self._lock:
            del self._children[name]
        return Ended(code, timed_out)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], errors: Any) -> subprocess.Popen[str]:
        """Start a worker as the leader of its own group, which a terminal's interrupt does not reach."""
        return subprocess.Popen(
            [sys.executable, "-m", WORKER, str(os.getpid()), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def stop(self, name: str) -> None:
        """Kill one process, if it is there."""
        with self._lock:
            child = self._children.get(name)
        if child is not None:
            _kill(child)

    def stop_all(self) -> None:
        """Kill every process, and whichever is about to start."""
        self._stopping.set()
        with self._lock:
            children = list(self._children.values())
        for child in children:
            _kill(child)


def _listen(child: subprocess.Popen[str], hear: Callable[[Mapping[str, Any]], None]) -> None:
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            with contextlib.suppress(ValueError):  # a line that the process had not finished when it was killed
                hear(json.loads(line))


def _kill(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
