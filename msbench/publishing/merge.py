"""Merging: records of several machines, from folders and archives, into one folder of published records."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msbench.board.reading.load import RECORD
from msbench.errors import UserError
from msbench.publishing.archive import SUFFIXES, ArchiveError, unpack
from msbench.publishing.publish import PublicFolder
from msbench.publishing.shelve import BAD, Shelved, shelve

DEPTH: Final = 4
"""Levels below a source at which a run's folder is looked for: results/runs/RUN, an archive's own folder above it."""


@dataclass(frozen=True)
class Merged:
    """What became of the records of one source; `passed_over` says what of it was not read, and why."""

    source: Path
    records: Sequence[Shelved]
    passed_over: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether everything was read and nothing is in conflict."""
        return not self.passed_over and all(item.kind not in BAD for item in self.records)


def merge(sources: Sequence[Path], to: PublicFolder) -> list[Merged]:
    """Put every record of the sources among the published ones.

    Raises UserError for a source that is neither a folder nor an archive; records that cannot be read are listed.
    """
    for source in sources:
        if not source.is_dir() and not source.name.endswith(SUFFIXES):
            missing = "" if source.exists() else "no such file; "
            raise UserError(f"{source}: {missing}name a folder, or an archive that ends in {', '.join(SUFFIXES)}")
    to.open()
    return [_merge_one(source, to) for source in sources]


def _merge_one(source: Path, to: PublicFolder) -> Merged:
    with _opened(source, to.root) as (folder, passed_over):
        found = sorted(run_folders(folder))
        nothing = [] if found or passed_over else [f"no {RECORD} in it"]
        return Merged(source, shelve(found, to.records), [*passed_over, *nothing])


def run_folders(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Folders with a record, at most `depth` levels below. Links and hidden folders are passed over."""
    if (folder / RECORD).is_file() or (folder / RECORD).is_symlink():
        yield folder
        return
    if depth == 0:
        return
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return
    for path in below:
        if not path.is_symlink():
            yield from run_folders(path, depth - 1)


@contextmanager
def _opened(source: Path, beside: Path) -> Iterator[tuple[Path, list[str]]]:
    """The source as a folder; what of an archive was not unpacked. The unpacked copy is removed afterwards."""
    if source.is_dir():
        yield source, []
        return
    folder = Path(tempfile.mkdtemp(prefix=".merging.", dir=beside))
    try:
        passed_over = unpack(source, folder)
    except ArchiveError as error:
        passed_over = [str(error)]
    try:
        yield folder, passed_over
    finally:
        shutil.rmtree(folder, ignore_errors=True)
