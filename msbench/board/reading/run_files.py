"""The files of a run as its page shows them: log and configuration as text, all with size and digest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from msbench.records.record import Record

LOG_LINES: Final = 60
"""Lines of the log's end that a page shows."""
LINE: Final = 240
"""Characters of one of them."""
HASHED: Final = 256 * 2**20
"""Bytes of the largest file that gets a digest: a build reads every changed run's files once."""
_LOG_BYTES: Final = 64 * 1024
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Terminal colours and other control characters."""
_HOME: Final = re.compile(r"/(?:home|Users)/[^/\s'\":,;]+|/root(?=/)|[A-Za-z]:\\Users\\[^\\\s'\":,;]+")


@dataclass(frozen=True)
class RunFile:
    """One file that the run left. sha256 is empty for one that is too large to be read for a page."""

    name: str
    size: int
    sha256: str


def run_files(folder: Path) -> list[RunFile]:
    """Every file of the run's folder, by name."""
    return [
        RunFile(path.relative_to(folder).as_posix(), size, _sha256(path) if size <= HASHED else "")
        for path, size, _ in _entries(folder)
    ]


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change (ns) of every file: what `run_files` would change with."""
    return sorted(_listed(os.fspath(folder)))


def log_tail(folder: Path) -> str:
    """The last lines of the log: free of control characters, cut where they are long, home folders masked."""
    path = folder / "log.txt"
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(_cut(masked(_CONTROL.sub("", line))) for line in lines[-LOG_LINES:])


def configuration(folder: Path, record: Record) -> str:
    """The resolved configuration as YAML: the run's own file, or what its record holds; home folders masked."""
    path = folder / "config.yaml"
    if path.is_file() and not path.is_symlink():
        return masked(path.read_text(encoding="utf-8", errors="replace"))
    if not record.config:
        return ""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's is many times as fast, where it is there
    return masked(yaml.dump(record.config, Dumper=dumper, sort_keys=False, allow_unicode=True))


def masked(text: str) -> str:
    """The text with every home folder written as ~."""
    return _HOME.sub("~", text)


def _cut(line: str) -> str:
    return line if len(line) <= LINE else f"{line[:LINE]} … ({len(line) - LINE} more characters)"


def _entries(folder: Path) -> Iterator[tuple[Path, int, int]]:
    return ((folder / name, size, changed) for name, size, changed in stamps(folder))


def _listed(folder: str, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Like `stamps`, in no order. Links are passed over: they may lead anywhere."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _listed(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                status = entry.stat(follow_symlinks=False)
                yield f"{prefix}{entry.name}", status.st_size, status.st_mtime_ns


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
