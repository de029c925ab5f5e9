"""Progress of a command: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from msbench.records.record import Record


class CommandDisplay(Protocol):
    """What a command shows while it works."""

    def preparing(self, done: int, total: int, what: str) -> None: ...
    def started(self, run_id: str) -> None: ...
    def waiting(self, what: str, owner: str) -> None: ...
    def progressed(self, run_id: str, share: float, score: float | None) -> None: ...
    def ended(self, run_id: str, record: Record) -> None: ...
    def measuring(self, done: int, total: int) -> None: ...


def make_console() -> Console:
    """The terminal as wide as it is; a file or pipe as wide as the table needs, unless COLUMNS says otherwise."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=130)


@contextmanager
def make_display(console: Console) -> Iterator[CommandDisplay]:
    """Bars when the console is a terminal, lines when it is not."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


def _score(score: float | None) -> str:
    return "" if score is None else f"validation loss {score:.3f} of the constant predictor's"


def _waiting(owner: str) -> str:
    return f"waiting, another msbench is at it ({owner})"


class Lines:
    """One line a tenth of the way; nothing that needs a cursor."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock, self._tenths = console, threading.Lock(), dict[str, int]()

    def _line(self, text: str) -> None:
        with self._lock:
            self._console.print(text, soft_wrap=True, highlight=False)

    def preparing(self, done: int, total: int, what: str) -> None:
        if self._due(what, done / max(total, 1), 5):
            self._line(f"{what}: {done}/{total}")

    def started(self, run_id: str) -> None:
        self._line(f"{run_id}: started")

    def waiting(self, what: str, owner: str) -> None:
        self._line(f"{what}: {_waiting(owner)}")

    def progressed(self, run_id: str, share: float, score: float | None) -> None:
        if self._due(run_id, share, 4):
            self._line(f"{run_id}: {share:.0%}, {_score(score)}")

    def ended(self, run_id: str, record: Record) -> None:
        self._line(f"{run_id}: {record.status}" + (f": {record.reason}" if record.reason else ", trained"))

    def measuring(self, done: int, total: int) -> None:
        if self._due("measuring", done / total, 4):
            self._line(f"proving and measuring: {done}/{total}")

    def _due(self, what: str, share: float, parts: int) -> bool:
        due = int(share * parts)
        if due > self._tenths.get(what, -1):
            self._tenths[what] = due
            return True
        return False


class Bars:
    """One bar a run, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._tasks = progress, dict[str, TaskID]()

    def _task(self, name: str, total: float = 1.0) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note="")
        return self._tasks[name]

    def preparing(self, done: int, total: int, what: str) -> None:
        self._progress.update(self._task(what, total), completed=done, visible=done < total)

    def started(self, run_id: str) -> None:
        self._task(run_id)

    def waiting(self, what: str, owner: str) -> None:
        self._progress.console.print(f"{what}: {_waiting(owner)}")

    def progressed(self, run_id: str, share: float, score: float | None) -> None:
        self._progress.update(self._task(run_id), completed=share, note=_score(score))

    def ended(self, run_id: str, record: Record) -> None:
        self._progress.update(self._task(run_id), completed=1.0, visible=False)
        good = record.status == "ok"
        self._progress.console.print(f"{run_id}: {'trained' if good else f'{record.status}: {record.reason}'}")

    def measuring(self, done: int, total: int) -> None:
        self._progress.update(self._task("proving and measuring", total), completed=done, visible=done < total)
