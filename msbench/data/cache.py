"""Cache folders that are there whole or not at all, also with several processes and killed builds."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from filelock import FileLock

from msbench.errors import UserError

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def build_once(
    folder: Path, build: Callable[[Path], None], keep: Callable[[BaseException], bool] | None = None
) -> Path:
    """`folder`, made by `build(aside)` unless it is there already.

    `build` fills an empty sibling folder that is then renamed into place, under a lock that other processes
    wait for. What a killed build has left aside is swept away by the next one. Raises UserError where the
    cache cannot be written, or its disk is full; whatever else `build` raises passes through. Nothing is left behind.

    keep: for builds that can go on where another one was stopped: what a killed build has left aside is given to the
    next one, and so is what an exception leaves for which `keep` says yes.
    """
    if folder.is_dir():
        return folder
    aside = folder.with_name(f".{folder.name}.partial")
    lock = FileLock(_make_parent(folder) / f".{folder.name}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    try:
        if not folder.is_dir():
            _build_aside(aside, build, keep)
            os.replace(aside, folder)
    finally:
        lock.release()
    return folder


def _make_parent(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    return folder.parent


def _build_aside(aside: Path, build: Callable[[Path], None], keep: Callable[[BaseException], bool] | None) -> None:
    if keep is None:
        shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(exist_ok=True)
    except OSError as error:
        raise _unwritable(aside.parent, error) from error
    try:
        build(aside)
    except BaseException as error:
        if keep is None or not keep(error):
            shutil.rmtree(aside, ignore_errors=True)
        if reason := _full(error):
            remedy = "make room, or name another folder with MSBENCH_CACHE"
            raise UserError(f"cannot write to the data cache {aside.parent}: {reason}; {remedy}") from error
        raise


def _full(error: BaseException) -> str | None:
    """Which limit of the disk was met, if one was; safetensors says it in words alone."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    return os.strerror(number) if number in _FULL else None


def _unwritable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"cannot write to the data cache {folder}: {reason}; name another folder with MSBENCH_CACHE")
