"""One run's checkpoints on disk: one file each in the staging folder, for the next attempt if this one is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from msbench.runs.describe import Job
from msbench.runs.identity.provenance import identity_digest
from msbench.runs.starts import machine_of
from msbench.store.store import CHECKPOINT
from msbench.training.state import State

SHARE = 50
"""Saving takes at most about one part in so many of the time, however large the network and slow the disk."""
SHORT = 10
"""The end of a stage is kept if the stage took this part of the interval: shorter ones are sooner trained again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """What earlier attempts at the run cost up to their last checkpoint: seconds, and those of a shared start."""

    seconds: float = 0.0
    shared: float = 0.0


@dataclass
class StoredCheckpoints:
    """The checkpoints of one run. A file is written aside, synced and renamed: it is there whole or not at all.

    identity: of the run and its machine, plain JSON; a checkpoint of another is not used. interval: seconds between
    checkpoints of a stage, and before the first. started: `time.perf_counter()` when this attempt began.
    """

    folder: Path
    identity: Mapping[str, Any]
    interval: float
    started: float = field(default_factory=time.perf_counter)
    earlier: Earlier = field(default=Earlier(), init=False)

    def __post_init__(self) -> None:
        self._newest, self._pause = self.started, self.interval
        found = [about for path in self.folder.glob("*.safetensors") if (about := self._about(path)) is not None]
        if found:
            newest = max(found, key=lambda about: float(about["elapsed"]))
            self.earlier = Earlier(newest["elapsed"], newest["facts"]["shared"])

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return time.perf_counter() - self._newest >= self._pause

    def worth(self, seconds: float) -> bool:
        """Whether a stage was long; nothing is kept of a run that is done in less than the interval."""
        return seconds * SHORT >= self.interval and time.perf_counter() - self.started >= self.interval

    def load(self, name: str) -> State | None:
        """The checkpoint of this name; None, and a line in the log, if it is damaged or another run's."""
        path = self._path(name)
        about = self._about(path) if path.exists() else None
        if about is None:
            return None
        try:
            state = State(load_file(path), about["facts"])
            if state.digest() == about["digest"]:
                return state
            raise ValueError("it is damaged")
        except (OSError, ValueError, SafetensorError) as error:
            logger.warning("%s is not used: %s", path, error)
        return None

    def save(self, name: str, state: State) -> bool:
        """Keep a state; a full disk, say, only leaves a line in the log."""
        started = time.perf_counter()
        path, aside = self._path(name), self._path(name).with_suffix(".aside")
        elapsed = self.earlier.seconds + started - self.started
        about = {"key": self._key(), "elapsed": elapsed, "facts": state.facts, "digest": state.digest()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(dict(state.tensors), aside, {"about": json.dumps(about)})
            _sync(aside)
            aside.replace(path)
            _sync(self.folder)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            logger.warning("the checkpoint %s was not kept: %s", path, error)
            return False
        finally:
            self._newest = time.perf_counter()
            self._pause = max(self.interval, SHARE * (self._newest - started))
        return True

    def drop(self, name: str) -> None:
        """Remove a checkpoint."""
        self._path(name).unlink(missing_ok=True)

    def note(self, line: str) -> None:
        """Write a line into the run's log."""
        logger.warning("%s: %s", self.folder, line)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _key(self) -> str:
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def _about(self, path: Path) -> dict[str, Any] | None:
        """What a file says of itself, if it is this run's."""
        try:
            with safe_open(path, "pt") as file:
                about: dict[str, Any] = json.loads(file.metadata()["about"])
            if about["key"] == self._key():
                return about
            raise ValueError("it is another run's")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            logger.warning("%s is not used: %s: %s", path, type(error).__name__, error)
        return None


def checkpoints_of(job: Job, device: torch.device, folder: Path, started: float) -> StoredCheckpoints | None:
    """Where a run's own stages are kept, unless `engine.checkpoint_seconds` is 0."""
    seconds = job.config.engine.checkpoint_seconds
    if seconds == 0:
        return None
    identity = {"run": identity_digest(job.identity), "target": job.target, "machine": machine_of(job, device)}
    return StoredCheckpoints(folder / CHECKPOINT, identity, seconds, started)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
