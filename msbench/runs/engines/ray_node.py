"""What a node of a Ray cluster does for a command: sees whether it has what the command has, and trains one run.

Nodes import this module, so it loads neither torch nor plugins: those are the affair of the run's own process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msbench.errors import UserError
from msbench.runs.engines.processes import Processes
from msbench.runs.identity.provenance import package_versions
from msbench.runs.identity.sources import host_digest
from msbench.store.durable import ASIDE
from msbench.store.store import LOG

ATTEMPT = f".attempt{ASIDE}"
"""In a run's folder: whose the run is. The store removes such files from a run that has ended."""
PATIENCE = 10.0
"""Seconds until a network folder shows on one machine what another has written."""
LOOK = 2.0
"""Seconds between looks at `ATTEMPT`."""


@dataclass(frozen=True)
class Ground:
    """What a command and all nodes that work for it must have in common.

    folders: what the user calls each, and where it is. token: the name of a file that lies in each. known: Ray's ids of
    nodes whose sources were found to be equal; what is edited there later is the affair of the run that meets it.
    """

    folders: Mapping[str, Path]
    token: str
    sources: str
    packages: Mapping[str, str]
    here: Path
    variables: Mapping[str, str]
    known: frozenset[str] = frozenset()

    @classmethod
    def of(cls, results: Path, cache: Path) -> Ground:
        """That of a command with this store and this data cache."""
        return cls(
            folders={"--results": results, "MSBENCH_CACHE": cache},
            token=f".msbench-{secrets.token_hex(8)}",
            sources=host_digest(),
            packages=package_versions(),
            here=Path.cwd(),
            variables={name: value for name, value in os.environ.items() if name.startswith("MSBENCH_")},
        )

    @contextmanager
    def marked(self) -> Iterator[None]:
        """While this lasts, the token lies in the folders."""
        try:
            for folder in self.folders.values():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / self.token).write_text(socket.gethostname(), encoding="utf-8")
            yield
        finally:
            for folder in self.folders.values():
                with contextlib.suppress(OSError):
                    (folder / self.token).unlink(missing_ok=True)

    def check(self, node_id: str = "") -> None:
        """UserError when this node does not share a folder with the command, or has other versions."""
        node = socket.gethostname()
        for name, folder in self.folders.items():
            if not _appears(folder / self.token):
                raise UserError(
                    f"engine=ray: node {node} does not see the folder {folder} of the machine where the command was "
                    f"given: {name} must be a folder that all of them share"
                )
        there = package_versions()
        for package in sorted({*self.packages, *there}):
            mine, theirs = self.packages.get(package, "none"), there.get(package, "none")
            if mine != theirs:
                raise UserError(
                    f"engine=ray: node {node} has {package} {theirs}, the machine where the command was given has "
                    f"{mine}: install the same versions on all"
                )
        if node_id not in self.known and host_digest() != self.sources:
            raise UserError(f"engine=ray: node {node} has another msbench: install the same one on all")


def _appears(path: Path) -> bool:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


@dataclass(frozen=True)
class Order:
    """One attempt at training a run. limit: seconds that it may take."""

    run_id: str
    folder: Path
    threads: int
    limit: float | None
    attempt: str

    def give(self) -> None:
        """From now on this attempt alone may write into the run's folder."""
        (self.folder / ATTEMPT).write_text(self.attempt, encoding="utf-8")

    def stands(self) -> bool:
        """Whether nobody has given the run to another since; a folder that cannot be asked has not said so."""
        try:
            return (self.folder / ATTEMPT).read_text(encoding="utf-8") == self.attempt
        except FileNotFoundError:
            return False
        except OSError:
            return True


class Ear:
    """An actor that keeps what runs say until the command asks for it."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, Mapping[str, Any]]] = []

    def hear(self, attempt: str, event: Mapping[str, Any]) -> None:
        """Keep an event of an attempt."""
        self._heard.append((attempt, event))

    def take(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What was heard since the last time."""
        heard, self._heard = self._heard, []
        return heard


def train(order: Order, ground: Ground, ear: Any) -> tuple[int, bool]:
    """The Ray task: train a run in a process of its own; its exit code, and whether it took too long.

    ear: the handle of an `Ear`; the first event names the node. Raises UserError where this node cannot do it.
    """
    import ray

    said = [ear.hear.remote(order.attempt, {"node": socket.gethostname()})]
    ground.check(ray.get_runtime_context().get_node_id())
    if ground.here.is_dir():
        os.chdir(ground.here)  # plugins and data may be named relative to it

    def hear(event: Mapping[str, Any]) -> None:
        said[0] = ear.hear.remote(order.attempt, event)

    processes, over = Processes(order.threads), threading.Event()
    threading.Thread(target=_watch, args=(order, processes, over), daemon=True).start()
    try:
        arguments = ["train", str(order.folder)]
        log = order.folder / LOG
        ended = processes.run(order.run_id, arguments, log, hear, ground.variables, order.limit)
    finally:
        over.set()
        processes.stop_all()
    ray.wait(said, timeout=PATIENCE)  # so that the command has heard all when it sees the end
    return ended.code, ended.timed_out


def _watch(order: Order, processes: Processes, over: threading.Event) -> None:
    """A node that the others have given up may live on: its process must not write into what is another's now."""
    while not over.wait(LOOK):
        if not order.stands():
            processes.stop_all()
            return
