"""The store: one folder a run, there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from msbench.errors import UserError, nearest
from msbench.runs.record import Record, read_record, write_record

REUSED = ("ok", "budget_missed", "inexact", "diverged")
"""A record of these is a result: the same run again would end the same. Others are tried again when asked for."""


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

    def begin(self, run_id: str) -> Path:
        """An empty staging folder for a run."""
        folder = self.staged(run_id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def trained(self, run_id: str) -> Record | None:
        """The record of a run that is trained but not yet measured."""
        path = self.staged(run_id) / "trained.json"
        return read_record(path) if path.is_file() else None

    def commit(self, run_id: str, record: Record) -> Path:
        """Write the final record into the staging folder and rename the folder into place."""
        staged, final = self.staged(run_id), self.folder(run_id)
        write_record(record, staged / "record.json")
        for extra in ("trained.json", "job.json"):
            (staged / extra).unlink(missing_ok=True)
        if final.exists():
            old = self.root / "staging" / f"{run_id}.replaced"
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
            staged.rename(final)
            shutil.rmtree(old)
        else:
            self.runs.mkdir(parents=True, exist_ok=True)
            staged.rename(final)
        return final

    def find(self, run_id: str) -> Record | None:
        """The record of a finished run, if it is there."""
        path = self.folder(run_id) / "record.json"
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
        """Every finished run, by name."""
        return sorted(path.parent.name for path in self.runs.glob("*/record.json"))

    def resolve(self, prefix: str) -> str:
        """The one run whose id starts with `prefix` or contains it; UserError otherwise."""
        ids = self.ids()
        for matches in ([i for i in ids if i.startswith(prefix)], [i for i in ids if prefix in i]):
            if len(matches) == 1:
                return matches[0]
            if len(matches) > 1:
                raise UserError(f"{prefix!r} names {len(matches)} runs: {', '.join(matches[:4])}…")
        raise UserError(f"no run {prefix!r} in {self.root}: {nearest(prefix, ids)}")


def write_json(value: object, path: Path) -> None:
    """Write JSON by rename, so that a reader sees the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
