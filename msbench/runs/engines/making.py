"""Making one run: under its lock, in a process of its own, with a record whatever happens to the process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from msbench.config import EngineConfig
from msbench.plugins import Plugins
from msbench.records.record import Record, Status, read_record
from msbench.runs.describe import Job
from msbench.runs.engines.devices import Gpus, visible_gpus
from msbench.runs.engines.processes import Processes
from msbench.runs.engines.worker import failure
from msbench.runs.plan import PlannedRun
from msbench.store.failures import end_badly, last_line
from msbench.store.locks import Locks
from msbench.store.owner import Owner
from msbench.store.store import FAILED, LOG, Store

Stamp = tuple[int, int] | None


class Display(Protocol):
    """What the engine tells the person who waits."""

    def started(self, run_id: str) -> None: ...
    def waiting(self, what: str, owner: str) -> None: ...
    def progressed(self, run_id: str, share: float, score: float | None) -> None: ...
    def ended(self, run_id: str, record: Record) -> None: ...
    def measuring(self, done: int, total: int) -> None: ...


class StoppedError(Exception):
    """A run ended because its command was stopped: there is no result, and no failure either."""


@dataclass(frozen=True)
class Made:
    """A run that has ended. final: its record is in the store; else it is trained, and yet to be measured."""

    record: Record
    final: bool


@dataclass
class Maker:
    """Makes runs of one command. `plugins_from`: `--plugin` sources that each process loads again."""

    store: Store
    cache: Path
    plugins: Plugins
    plugins_from: Sequence[str]
    config: EngineConfig
    display: Display
    locks: Locks
    processes: Processes = field(init=False)
    gpus: tuple[str, ...] = field(init=False)
    keep: Mapping[str, tuple[int, ...]] = field(default_factory=dict, init=False)
    """By run, the steps after which others go on from its state."""
    before: dict[str, Stamp] = field(default_factory=dict, init=False)
    """The records that were there when the command began."""

    def __post_init__(self) -> None:
        self.gpus = visible_gpus(self.config)
        self.processes, self._shared_gpus = Processes(self.config.threads), Gpus(self.gpus)
        self.locks.on_lost = self.processes.stop

    def make(self, run: PlannedRun, job: Job, unusable: str) -> Made | Owner:
        """Make one run, unless another command does: then its owner. `unusable`: why it cannot be made, if so.

        The lock stays ours while the run is to be measured. StoppedError when the command was stopped.
        """
        self.stop_with_command()
        owner = self.locks.acquire(run.run_id)
        if owner is not None:
            return owner
        made: Made | None = None
        try:
            made = self._made(run, job, unusable)
        finally:
            if made is None or made.final:
                self.locks.release(run.run_id)
        return made or self.locks.holder(run.run_id) or self.locks.owner

    def since(self, run_id: str) -> Record | None:
        """The record that was made of a run since the command began, by whomever, whatever it says."""
        return self.store.find(run_id) if self.store.stamp(run_id) != self.before[run_id] else None

    def stop_with_command(self) -> None:
        """StoppedError once the command is being stopped."""
        if self.processes.stopping:
            raise StoppedError

    def still_there(self) -> None:
        """FileNotFoundError when somebody has removed the store."""
        if not self.store.runs.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.store.runs))

    def _made(self, run: PlannedRun, job: Job, unusable: str) -> Made | None:
        """What is there of a run, or is made of it now; None when the lock was lost on the way."""
        self.store.recover(run.run_id)
        if (record := self.since(run.run_id)) is not None:
            return Made(record, final=True)
        if unusable:
            self.store.begin(run.run_id)
            return self._failed(job, "skipped", unusable)
        if (earlier := self.store.trained(run.run_id)) is not None:
            return Made(earlier, final=False)
        return self._trained(run, job)

    def _trained(self, run: PlannedRun, job: Job) -> Made | None:
        folder = self.store.begin(run.run_id, self._payload(run, job))
        self.display.started(run.run_id)

        def hear(event: Mapping[str, Any]) -> None:
            self.display.progressed(run.run_id, event["share"], event["score"])

        limit = self.config.timeout or None
        with self._shared_gpus.some(self.config.processes) as gpu:
            ended = self.processes.run(run.run_id, ["train", str(folder)], folder / LOG, hear, gpu, limit)
        self.still_there()
        if not self.locks.holds(run.run_id):
            return None
        if (record := self.store.trained(run.run_id)) is not None:
            return Made(record, final=False)
        if (folder / FAILED).is_file():
            record = read_record(folder / FAILED)
            return self._failed(job, record.status, record.reason)
        self.stop_with_command()
        if not folder.is_dir():
            return self._failed(job, "killed", f"{folder} was removed while it ran")
        if ended.timed_out:
            return self._failed(job, "timeout", f"stopped after {self.config.timeout:g} s")
        return self._failed(job, "killed", f"its process {ended}: {last_line(folder / LOG)}")

    def _payload(self, run: PlannedRun, job: Job) -> dict[str, Any]:
        return {
            "run_id": run.run_id,
            "config": run.config.model_dump(mode="json"),
            "target": job.target,
            "reference": run.reference,
            "dense": run.dense,
            "command": run.command,
            "identity": run.identity,
            "plugins": list(self.plugins_from),
            "cache": str(self.cache),
            "keep": list(self.keep.get(run.run_id, ())),
        }

    def _failed(self, job: Job, status: Status, reason: str) -> Made:
        record = failure(self.plugins, job, status, reason)
        if self.store.reusable(job.run_id) is not None:  # made again, in vain: the result that was there stands
            shutil.rmtree(self.store.staged(job.run_id), ignore_errors=True)
            return Made(record, final=True)
        end_badly(self.store.staged(job.run_id), record)
        self.store.commit(job.run_id, record)
        return Made(record, final=True)
