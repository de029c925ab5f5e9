"""Shared starts in the store: `starts/HASH/STEPS/` holds the state of training after so many plain steps.

HASH is of everything that decides these numbers. A folder is written aside and renamed into place, so it is there whole
or not at all; two runs that make the same one at a time make the same content, and the first stays.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from msbench.runs.describe import Job
from msbench.runs.identity.provenance import environment
from msbench.store.store import Store
from msbench.training.start import Plain
from msbench.training.state import State

STATE, ABOUT = "state.safetensors", "state.json"
CODE = ("host", "packages", "model", "data", "parts")
CONFIG = ("data", "tasks", "training", "seed", "engine")
"""What of a run's identity decides its plain first steps: not the sparsifier, nor its budget."""

logger = logging.getLogger(__name__)


def start_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's identity that it shares with every run that starts in the same way."""
    config = identity["config"]
    found = {**{name: identity[name] for name in CODE}, "config": {name: config[name] for name in CONFIG}}
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


@dataclass(frozen=True)
class StoredStarts:
    """The starts of one run's kind.

    root: the results folder. identity: from `start_identity`, and the machine's. keep: see `Starts`.
    """

    root: Path
    identity: Mapping[str, Any]
    keep: frozenset[int] = frozenset()

    def find(self, plain: Plain, steps: int) -> State | None:
        """The longest start of at most so many steps; one that is damaged or of something else is removed."""
        folders = [path for path in self._folder(plain).glob("*") if path.name.isdigit() and int(path.name) <= steps]
        for folder in sorted(folders, key=lambda path: int(path.name), reverse=True):
            try:
                return self._read(folder, plain)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                logger.warning("%s is not used and removed: %s: %s", folder, type(error).__name__, error)
                shutil.rmtree(folder, ignore_errors=True)
        return None

    def save(self, plain: Plain, start: State) -> bool:
        """Keep a start; whether it is there now. A full disk, say, only leaves a line in the log."""
        final = self._folder(plain) / str(start.facts["step"])
        if final.exists():
            return True
        staging = self.root / "staging"
        aside: Path | None = None
        try:
            staging.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix="start-", dir=staging))
            save_file(dict(start.tensors), aside / STATE)
            about = {"key": self._key(plain), "facts": dict(start.facts), "tensors": _file_digest(aside / STATE)}
            (aside / ABOUT).write_text(json.dumps({**about, "digest": _digest(about)}), encoding="utf-8")
            final.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(final)
        except (OSError, SafetensorError) as error:
            if not final.exists():
                logger.warning("the shared start %s was not kept: %s", final, error)
        finally:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
        return final.exists()

    def _key(self, plain: Plain) -> dict[str, Any]:
        return {**self.identity, "plain": dict(plain)}

    def _folder(self, plain: Plain) -> Path:
        return self.root / "starts" / _digest(self._key(plain))[:16]

    def _read(self, folder: Path, plain: Plain) -> State:
        """ValueError when a byte is not what was written, or it is the start of something else."""
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if about.pop("digest") != _digest(about):
            raise ValueError(f"{ABOUT} is damaged")
        if about["key"] != self._key(plain) or str(about["facts"]["step"]) != folder.name:
            raise ValueError("it is the start of something else")
        data = (folder / STATE).read_bytes()
        if about["tensors"] != hashlib.sha256(data).hexdigest():
            raise ValueError(f"{STATE} is damaged")
        return State(load(data), about["facts"])


def starts_of(job: Job, device: torch.device, store: Store) -> StoredStarts | None:
    """Where a run's plain first stage is kept, unless `engine.share_start` is off."""
    if not job.config.engine.share_start:
        return None
    identity = {**start_identity(job.identity), "machine": machine_of(job, device)}
    return StoredStarts(store.root, identity, frozenset(job.keep))


def machine_of(job: Job, device: torch.device) -> dict[str, Any]:
    """What of this machine decides the last digits of a run."""
    found = environment(str(device), job.config.engine.threads)
    return {name: found.get(name) for name in ("system", "cpu", "device", "gpu", "cuda", "cudnn")}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
