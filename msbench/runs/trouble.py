"""What may happen to a command from outside: a store that cannot be written, and signals that end it."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from msbench.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
AWAY = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR}
UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
KEPT = "what is finished or trained is kept, and the same command goes on from there"


@contextmanager
def readable_errors(root: Path) -> Iterator[None]:
    """A store that is full, gone or not to be written is one line, and not a traceback."""
    try:
        yield
    except OSError as error:
        words = _words(error, root)
        if words is None:
            raise
        raise UserError(f"--results {root}: {words}") from error


def _words(error: OSError, root: Path) -> str | None:
    """What to tell of an error; None when it is not about the store."""
    what = error.strerror or str(error)
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        return f"{what}{place}; make room: {KEPT}"
    if not error.filename or not os.path.abspath(os.fsdecode(error.filename)).startswith(os.path.abspath(root)):
        return None
    if error.errno in AWAY:
        return f"{what}{place}; the folder was moved or removed while it was in use"
    if error.errno in UNWRITABLE:
        return f"{what}{place}; choose a folder that can be written"
    return f"{what}{place}; {KEPT}"


@contextmanager
def ends_are_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as an interrupt does: it stops its runs, and gives its locks back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signals = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
