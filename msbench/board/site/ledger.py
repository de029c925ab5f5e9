"""What a leaderboard folder remembers of its making, so that the next build renders only what has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import msbench

LEDGER: Final = ".pages.json"
_PACKAGES: Final = ("msbench", "jinja2", "pydantic")
_SOURCES: Final = ("board/**/*.*", "papers/**/*.py", "records/**/*.py")
_LARGEST: Final = 256 * 1024 * 1024


class Entry(BaseModel):
    """A file: the digest of what it was made from, and its size and time of change (ns) as written."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: str
    size: int
    changed: int


class Ledger(BaseModel):
    """made_by: the code that made the folder. records: SHA-256 of record files found valid, in data.json's order.

    files: by path.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    made_by: str
    records: list[str] = Field(default_factory=list)
    files: dict[str, Entry] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Files that are made together, by the group's name: their paths."""
    lines: dict[str, dict[str, str]] = Field(default_factory=dict)
    """What `Site.lines` knew of the boards that are there."""


def read_ledger(folder: Path) -> Ledger:
    """The ledger of a folder; an empty one where there is none, it is damaged, or other code made it."""
    made_by = fingerprint()
    try:
        with open(folder / LEDGER, "rb") as file:
            found = Ledger.model_validate_json(file.read(_LARGEST))  # cut where it is larger: then it is no JSON
    except (OSError, ValidationError):
        return Ledger(made_by=made_by)
    return found if found.made_by == made_by else Ledger(made_by=made_by)


@cache
def fingerprint() -> str:
    """Digest of the code that checks records and makes pages: templates, sources and the packages behind them."""
    root = Path(msbench.__file__).parent
    found = hashlib.sha256()
    for path in sorted({path for pattern in _SOURCES for path in root.glob(pattern)}):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    for name in _PACKAGES:
        found.update(f"{name} {package_version(name)}\0".encode())
    return found.hexdigest()


def package_version(name: str) -> str:
    """Version of an installed package; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@dataclass
class Writer:
    """Writes the files of a new folder; takes them over from the old one where it has them already.

    A file is taken over when what it was made from has the same digest, and the file is as it was written.
    """

    folder: Path
    old: Path
    before: Ledger
    ledger: Ledger = field(init=False)
    made: list[str] = field(default_factory=list)
    """Paths of files that were not taken over."""
    _folders: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(made_by=self.before.made_by)
        self.folder.mkdir(parents=True)

    def text(self, path: str, digest: str, make: Callable[[], str]) -> None:
        """One text file, made from what has this digest."""
        if not self.take(path, digest):
            self._write(path, digest, make())

    def texts(self, group: str, digest: str, make: Callable[[], Mapping[str, str | bytes]]) -> None:
        """Files that are made together from what has this digest; by path."""
        paths = self.before.groups.get(group, [])
        taken = [self.take(path, digest) for path in paths]
        if not taken or not all(taken):
            files = make()
            for path, content in files.items():
                self._write(path, digest, content)
            paths = list(files)
        self.ledger.groups[group] = paths

    def copy(self, path: str, source: Path) -> None:
        """A copy of a file, which counts as unchanged while its size and time of change are the same."""
        status = source.stat()
        digest = f"{status.st_size} {status.st_mtime_ns}"
        if not self.take(path, digest):
            shutil.copyfile(source, self.place(path))
            self.note(path, digest)

    def finish(self, records: list[str], lines: dict[str, dict[str, str]]) -> None:
        """Write the ledger: from here on the folder is whole."""
        self.ledger.records, self.ledger.lines = records, lines
        (self.folder / LEDGER).write_text(self.ledger.model_dump_json(), encoding="utf-8")

    def take(self, path: str, digest: str) -> bool:
        """Take a file over from the old folder, if it has it; whether it had."""
        entry, there = self.before.files.get(path), f"{self.old}/{path}"
        if entry is None or entry.digest != digest or not _is_as_written(there, entry):
            return False
        place = self.place(path)
        try:
            os.link(there, place)
        except OSError:  # no hard links here
            shutil.copy2(there, place)
        self.ledger.files[path] = entry
        return True

    def old_text(self, path: str) -> str:
        """A text file of the old folder; empty where it is not there as it was written."""
        entry, there = self.before.files.get(path), self.old / path
        return there.read_text(encoding="utf-8") if entry and _is_as_written(str(there), entry) else ""

    def _write(self, path: str, digest: str, content: str | bytes) -> None:
        place = Path(self.place(path))
        place.unlink(missing_ok=True)  # a link to the old folder's file must not be written through
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        self.note(path, digest)

    def note(self, path: str, digest: str) -> None:
        """Remember a file that was written to its place just now."""
        status = os.stat(f"{self.folder}/{path}")
        self.ledger.files[path] = Entry(digest=digest, size=status.st_size, changed=status.st_mtime_ns)
        self.made.append(path)

    def place(self, path: str) -> str:
        """Where a file of the new folder belongs; its folder is made."""
        above = path.rpartition("/")[0]
        if above not in self._folders:
            if ".." in path.split("/") or path.startswith("/"):
                raise ValueError(f"{path}: lies outside the leaderboard's folder")
            (self.folder / above).mkdir(parents=True, exist_ok=True)
            self._folders.add(above)
        return f"{self.folder}/{path}"


def _is_as_written(path: str, entry: Entry) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (entry.size, entry.changed)
