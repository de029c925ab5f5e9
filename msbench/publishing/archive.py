"""Archives of strangers: only the files of records are unpacked, to places that msbench chooses, within bounds."""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from msbench.publishing.published import FILES, LARGEST
from msbench.records.measurement import FOLDER

SUFFIXES: Final = (".zip", ".tar.gz", ".tgz")
MEMBERS: Final = 200_000
"""Entries of an archive: twenty thousand runs with ten files each."""
TOTAL: Final = 4 * 2**30
"""Bytes of an archive, unpacked."""
_LONGEST: Final = 64 * 1024
"""Bytes of a tar entry's attributes."""
_ATTRIBUTES: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
LISTED: Final = 20
"""Entries that are named as not unpacked; of more, the number is said."""


class ArchiveError(ValueError):
    """Why an archive is not read any further."""


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack records into `folder/NUMBER/NAME`; what was passed over that looked like a part of one, and why.

    Names in the archive choose no place on the disk: they only say which files belong together. Raises ArchiveError
    for what is no archive, or too large.
    """
    members = _zipped(archive) if archive.name.endswith(".zip") else _tarred(archive)
    numbers: dict[PurePosixPath, int] = {}
    passed_over: list[str] = []
    total = 0
    try:
        for name, regular, stream in members:
            path = PurePosixPath(name)
            measured = path.parent.name == FOLDER and path.suffix == ".json" and path.name not in FILES  # in a store
            if path.name not in FILES and not measured:
                continue
            owner = path.parent.parent if measured else path.parent
            wrong = _objection(path, owner, regular)
            if wrong or stream is None:
                passed_over.append(f"{name[:200]}: {wrong or 'cannot be read'}")
                continue
            home = folder / f"{numbers.setdefault(owner, len(numbers)):06}" / _folder_name(owner.name)
            place = home / FOLDER / _folder_name(path.name) if measured else home / path.name
            total += _copy(stream, place, name)
            if total > TOTAL:
                raise ArchiveError(f"more than {TOTAL // 2**30} GiB unpacked")
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, OSError, RuntimeError) as bad:
        raise ArchiveError(f"not a readable archive ({str(bad)[:120] or type(bad).__name__})") from bad
    rest = len(passed_over) - LISTED
    return [*passed_over[:LISTED], *([f"and {rest} more"] if rest > 0 else [])]


def _objection(path: PurePosixPath, owner: PurePosixPath, regular: bool) -> str:
    if path.is_absolute() or ".." in path.parts or "\\" in str(path):
        return "its name leads out of the archive"
    if not regular:
        return "is a link or a device"
    return "" if owner.name else "lies in no folder"


def _folder_name(name: str) -> str:
    """A name that is harmless as a folder's, and still says which run it was."""
    return re.sub(r"[^A-Za-z0-9._@+-]", "_", name)[:120].lstrip(".") or "unnamed"


def _copy(stream: IO[bytes], place: Path, name: str) -> int:
    """Copy one member; its size. The size that the archive states is not believed."""
    raw = stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ArchiveError(f"{name[:200]}: larger than {LARGEST // 2**20} MiB")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        file.write(raw)
    return len(raw)


def _zipped(archive: Path) -> Iterator[tuple[str, bool, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        if len(members) > MEMBERS:
            raise ArchiveError(f"more than {MEMBERS:,} entries")
        for member in members:
            kind = member.external_attr >> 28
            if member.is_dir():
                continue
            with file.open(member) as stream:
                yield member.filename, kind in (0, 0o10), stream


def _tarred(archive: Path) -> Iterator[tuple[str, bool, IO[bytes] | None]]:
    with _Bounded(archive) as inner, tarfile.open(fileobj=inner, mode="r|", tarinfo=_Entry) as file:
        count = 0
        while (member := file.next()) is not None:
            count += 1
            if count > MEMBERS:
                raise ArchiveError(f"more than {MEMBERS:,} entries")
            if not member.isdir():
                yield member.name, member.isreg(), file.extractfile(member) if member.isreg() else None
            file.members = []  # type: ignore[attr-defined]  # it would keep every entry that it has read


class _Entry(tarfile.TarInfo):
    """An entry whose long names and other attributes take no more memory than a name needs."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Entry:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _ATTRIBUTES and found.size > _LONGEST:
            raise ArchiveError("an entry's header is too large")
        return found


class _Bounded(gzip.GzipFile):
    """A decompressed stream of at most `TOTAL` bytes."""

    _left = TOTAL

    def read(self, size: int | None = -1) -> bytes:
        raw = super().read(size)
        self._left -= len(raw)
        if self._left < 0:
            raise ArchiveError(f"more than {TOTAL // 2**30} GiB unpacked")
        return raw
