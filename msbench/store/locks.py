"""Who makes what in a store, where several msbench processes, of one machine or of several, share it.

`locks/NAME/N` is held by the process that it describes. It needs nothing of the file system but that a name is linked
once: no `flock`, which network folders may lack or grant twice. N goes up by one when a dead owner's lock is taken
over, so of several that try, the one that links the next number has it.

An owner on the same machine is dead when its process is gone (or its number belongs to a process that started at
another time). Of other machines only the heartbeat is known: the time of the lock's last change, which its owner
renews every few seconds, is compared with that of a file which the observer changes in the same folder. Both times
come from the file system, so that machines' clocks need not agree. An owner that was suspended so long that another
took its lock finds it gone at its next heartbeat, and stops.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from msbench.store.owner import Owner

FOLDER = "locks"
BEAT, PATIENCE = 3.0, 45.0
"""Seconds between heartbeats, and after the last one that is seen until another machine's process counts as dead."""
WAIT = 0.5
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What file systems answer that cannot link."""


class Locks:
    """The locks of one command; a context that gives them all back at its end.

    on_lost: called, from the thread that beats, with the name of a lock that another process has taken over.
    """

    def __init__(
        self,
        root: Path,
        on_lost: Callable[[str], None] = lambda name: None,
        beat: float = BEAT,
        patience: float = PATIENCE,
        owner: Owner | None = None,
    ) -> None:
        self.owner = owner if owner is not None else Owner.here()
        self.on_lost, self._beat, self._patience = on_lost, beat, patience
        self._folder = root / FOLDER
        self._mine = self._folder / f".{self.owner.token}"
        self._held: dict[str, Path] = {}
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)

    def __enter__(self) -> Locks:
        self._folder.mkdir(exist_ok=True)
        self._mine.write_text(self.owner.model_dump_json(), encoding="utf-8")
        for path in self._folder.glob(".*"):
            with contextlib.suppress(OSError):
                if self._living(path) is None:  # left by a process that was killed
                    path.unlink()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for name in list(self._held):
            self.release(name)
        with contextlib.suppress(OSError):
            self._mine.unlink(missing_ok=True)

    def acquire(self, name: str) -> Owner | None:
        """Take a lock; None when it is ours now, else the living process that has it. OSError: no store any more."""
        if self.holds(name):
            return None
        folder = self._folder / name
        while True:
            with contextlib.suppress(FileExistsError):  # even with exist_ok, when it goes just after it was found
                folder.mkdir()
            top = _top(folder)
            if top:
                try:
                    owner = self._living(folder / str(top))
                except FileNotFoundError:  # given back, or taken over, since we looked
                    continue
                if owner is not None:
                    return owner
            if self._create(folder, top):
                return None
            time.sleep(random.uniform(0, 0.01))  # two that meet shall not meet again

    def holds(self, name: str) -> bool:
        """Whether we have this lock still."""
        path = self._held.get(name)
        return path is not None and self._ours(path)

    def holder(self, name: str) -> Owner | None:
        """The living process that has a lock, ourselves included; None when nobody has."""
        while top := _top(self._folder / name):
            with contextlib.suppress(FileNotFoundError):
                return self._living(self._folder / name / str(top))
        return None

    def release(self, name: str) -> None:
        """Give a lock back; nothing happens when another has taken it."""
        with self._guard:
            path = self._held.pop(name, None)
        with contextlib.suppress(OSError):
            if path is not None and self._ours(path):
                path.unlink()
                path.parent.rmdir()

    @contextmanager
    def held(self, name: str, waiting: Callable[[Owner], None] = lambda owner: None) -> Iterator[None]:
        """Hold a lock for a while; `waiting` is told once whom we wait for."""
        told = False
        while (owner := self.acquire(name)) is not None:
            if not told:
                waiting(owner)
                told = True
            time.sleep(WAIT)
        try:
            yield
        finally:
            self.release(name)

    def _create(self, folder: Path, top: int) -> bool:
        """Link the number after `top`; False when another was faster."""
        mine = folder / str(top + 1)
        try:
            self._link(mine)
        except (FileExistsError, FileNotFoundError):
            if not self._folder.is_dir():
                raise
            return False
        outrun = _top(folder) != top + 1 or (top and not (folder / str(top)).exists())
        if outrun:  # the lock had been given back, and begun anew, since we looked
            mine.unlink(missing_ok=True)
            return False
        with self._guard:
            self._held[folder.name] = mine
        for path in folder.iterdir():
            if path.name.isdigit() and int(path.name) <= top:
                path.unlink(missing_ok=True)
        return True

    def _link(self, path: Path) -> None:
        """A file with our description under this name, unless the name is taken.

        Each lock is a file of its own, since its time is its heartbeat.
        """
        aside = self._folder / f".{secrets.token_hex(8)}"
        aside.write_text(self.owner.model_dump_json(), encoding="utf-8")
        try:
            os.link(aside, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with path.open("x", encoding="utf-8") as file:  # for a moment it is empty; see `_living`
                file.write(self.owner.model_dump_json())
        finally:
            aside.unlink(missing_ok=True)

    def _living(self, path: Path) -> Owner | None:
        """The owner of a lock when it lives. One whose description cannot be read lives while its lock is young."""
        with path.open(encoding="utf-8") as file:  # opened, since network folders ask their server again then
            text, changed = file.read(), os.fstat(file.fileno()).st_mtime
        try:
            owner = Owner.model_validate_json(text)
        except ValidationError:
            owner = Owner(host="unknown", pid=0, started="", space="", token="")
        if owner.token == self.owner.token:
            return owner
        if owner.seen_from(self.owner):
            return owner if owner.alive() else None
        return owner if self._now() - changed <= self._patience else None

    def _now(self) -> float:
        """The time by the file system's clock."""
        self._mine.touch()
        with self._mine.open() as file:
            return os.fstat(file.fileno()).st_mtime

    def _ours(self, path: Path) -> bool:
        """Whether a lock is still the one that we made: numbers begin anew when nobody has a lock."""
        try:
            return self.owner.token in path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False

    def _beat_on(self) -> None:
        while not self._ended.wait(self._beat):
            for name, path in list(self._held.items()):
                with contextlib.suppress(OSError):  # a network folder that is away may come back
                    if self._ours(path):
                        os.utime(path)
                    elif self._forget(name):
                        self.on_lost(name)

    def _forget(self, name: str) -> bool:
        """Whether the lock was ours until now."""
        with self._guard:
            return self._held.pop(name, None) is not None


def holder(root: Path, name: str) -> Owner | None:
    """The living process that has a lock of the store at `root`, for those that take none themselves."""
    if not (root / FOLDER / name).is_dir():
        return None
    with Locks(root) as locks:
        return locks.holder(name)


def _top(folder: Path) -> int:
    """The highest number in a folder; 0 when it has none."""
    try:
        return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)
    except FileNotFoundError:
        return 0
