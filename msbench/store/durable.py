"""Files that are there whole or not at all, whatever ends the process or the machine."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

ASIDE = ".aside"
"""How the name of a file ends that is not yet whole."""
NO_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}
"""What file systems answer that cannot flush a folder."""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then rename it: a reader, or a power cut, finds the old file or the new.

    Raises OSError, and leaves nothing behind, where that is impossible (a full disk, say).
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{ASIDE}")
    try:
        write(aside)
        flush(aside)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_json(value: object, path: Path) -> None:
    """Write JSON so that a reader sees the old file or the new one."""
    text = json.dumps(value, indent=1) + "\n"

    def write(aside: Path) -> None:
        aside.write_text(text, encoding="utf-8")

    write_whole(path, write)


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush every file in a folder, and the folder; what lies deeper is its writers' affair."""
    for path in folder.iterdir():
        if path.is_file():
            flush(path)
    flush(folder)
