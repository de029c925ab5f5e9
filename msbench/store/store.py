"""The store: one folder a run, there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msbench.errors import UserError, nearest
from msbench.records.record import Record, read_record, write_record
from msbench.store.durable import ASIDE, flush, flush_folder, write_json, write_whole

__all__ = ["REUSED", "Store", "default_cache", "default_results", "write_json"]

REUSED = ("ok", "budget_missed", "inexact", "diverged")
"""A record of these is a result: the same run again would end the same. Others are tried again when asked for."""

RECORD, TRAINED, FAILED, JOB, LOG = "record.json", "trained.json", "failed.json", "job.json", "log.txt"
CHECKPOINT = "checkpoint"
"""A folder beside `job.json`: where training was when its process ended."""
REPLACED = ".replaced"
RESUMED = ("killed", "timeout")
"""Statuses of runs that were stopped from outside: their checkpoint stays, and the next attempt goes on from it."""


def default_results() -> Path:
    """`MSBENCH_RESULTS`, or `results` here."""
    return Path(os.environ.get("MSBENCH_RESULTS", "results"))


def default_cache() -> Path:
    """`MSBENCH_CACHE`, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MSBENCH_CACHE") or Path(base) / "msbench")


@dataclass(frozen=True)
class Store:
    """`runs/` holds finished runs; `staging/` what is being made. A run moves between them by one rename."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def leaderboard(self) -> Path:
        return self.root / "leaderboard"

    def folder(self, run_id: str) -> Path:
        """Where a finished run lies."""
        return self.runs / run_id

    def staged(self, run_id: str) -> Path:
        """Where a run is made."""
        return self.root / "staging" / run_id

    def open(self) -> None:
        """Make the folders; UserError when that is impossible."""
        try:
            for folder in (self.runs, self.root / "staging"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--results {self.root}: {error.strerror}; choose a folder that can be written") from error
        for old in (self.root / "staging").glob(f"*{REPLACED}"):
            if self.folder(old.name.removesuffix(REPLACED)).is_dir():
                shutil.rmtree(old, ignore_errors=True)

    def begin(self, run_id: str, job: Mapping[str, Any] | None = None) -> Path:
        """A staging folder for a run, with the job as `job.json` where one is given.

        It is empty, but for the checkpoint and the log of an earlier process that had the same job and did not end.
        """
        folder, aside = self.staged(run_id), self.root / "staging" / f"{run_id}.begun"
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            folder.rename(aside)
        folder.mkdir(parents=True)
        for earlier in (aside, self.folder(run_id)):
            if job is not None and _same_job(earlier / JOB, job) and (earlier / CHECKPOINT).is_dir():
                (earlier / CHECKPOINT).rename(folder / CHECKPOINT)
                if (earlier / LOG).exists():
                    shutil.copyfile(earlier / LOG, folder / LOG)
                break
        shutil.rmtree(aside, ignore_errors=True)
        if job is not None:
            write_json(job, folder / JOB)
        return folder

    def job(self, run_id: str) -> dict[str, Any]:
        """What the process of a run was given, while the run is being made."""
        job: dict[str, Any] = json.loads((self.staged(run_id) / JOB).read_text(encoding="utf-8"))
        return job

    def keep_trained(self, run_id: str, record: Record) -> None:
        """A run is trained: its weights are on the disk before the record that says so is."""
        folder = self.staged(run_id)
        flush_folder(folder)
        write_whole(folder / TRAINED, lambda aside: write_record(record, aside))

    def trained(self, run_id: str) -> Record | None:
        """The record of a run that is trained but not yet measured; None where there is none that can be read."""
        path = self.staged(run_id) / TRAINED
        try:
            return read_record(path) if path.is_file() else None
        except UserError:
            return None

    def commit(self, run_id: str, record: Record) -> Path:
        """Write the final record into the staging folder and rename the folder into place.

        Everything is on the disk before the record, and the record before the rename. A process that ends in between
        leaves a folder that `recover` puts into place.
        """
        staged = self.staged(run_id)
        flush_folder(staged)
        write_whole(staged / RECORD, lambda aside: write_record(record, aside))
        return self._put(run_id)

    def recover(self, run_id: str) -> None:
        """Put a run into place whose process ended between its final record and the rename."""
        if (self.staged(run_id) / RECORD).is_file():
            self._put(run_id)

    def _put(self, run_id: str) -> Path:
        staged, final = self.staged(run_id), self.folder(run_id)
        goes_on = read_record(staged / RECORD).status in RESUMED and (staged / CHECKPOINT).is_dir()
        for extra in (TRAINED, FAILED, *(path.name for path in staged.glob(f".*{ASIDE}"))):
            (staged / extra).unlink(missing_ok=True)
        if not goes_on:
            (staged / JOB).unlink(missing_ok=True)
            shutil.rmtree(staged / CHECKPOINT, ignore_errors=True)
        if final.exists():
            old = self.root / "staging" / f"{run_id}{REPLACED}"
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
            staged.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        else:
            self.runs.mkdir(parents=True, exist_ok=True)
            staged.rename(final)
        flush(self.runs)
        return final

    def stamp(self, run_id: str) -> tuple[int, int] | None:
        """What tells one record of a run from another that replaces it; None while there is none."""
        try:
            found = (self.folder(run_id) / RECORD).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def find(self, run_id: str) -> Record | None:
        """The record of a finished run, if it is there."""
        path = self.folder(run_id) / RECORD
        return read_record(path) if path.is_file() else None

    def reusable(self, run_id: str) -> Record | None:
        """The record of a finished run whose result stands."""
        record = self.find(run_id)
        return record if record is not None and record.status in REUSED else None

    def artefact(self, run_id: str, name: str) -> Path:
        """A file of a run that has trained, measured or not; UserError where there is none."""
        for folder in (self.folder(run_id), self.staged(run_id)):
            if (folder / name).is_file():
                return folder / name
        raise UserError(f"run {run_id} has no {name}: it left nothing behind, or removed nothing")

    def has(self, run_id: str, name: str) -> bool:
        """Whether a run has left a file of this name."""
        return any((folder / name).is_file() for folder in (self.folder(run_id), self.staged(run_id)))

    def ids(self) -> list[str]:
        """Every finished run, by name; UserError where the store cannot be looked into."""
        try:
            return sorted(path.parent.name for path in self.runs.glob("*/record.json"))
        except OSError as error:
            raise UserError(f"--results {str(self.root)[:200]}: {error.strerror}; name another folder") from error

    def resolve(self, prefix: str) -> str:
        """The one run whose id starts with `prefix` or contains it; UserError otherwise."""
        ids = self.ids()
        for matches in ([i for i in ids if i.startswith(prefix)], [i for i in ids if prefix in i]):
            if len(matches) == 1:
                return matches[0]
            if len(matches) > 1:
                raise UserError(f"{prefix!r} names {len(matches)} runs: {', '.join(matches[:4])}…")
        raise UserError(f"no run {prefix!r} in {self.root}: {nearest(prefix, ids)}")


def _same_job(path: Path, job: Mapping[str, Any]) -> bool:
    """Whether the job in a file is this one; the run's id stands for all that decides it but the target."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    names = ("run_id", "target", "reference")
    return isinstance(found, dict) and all(found.get(name) == job.get(name) for name in names)
