"""What is kept of a run that came to nothing: its log, why it ended, and no half of anything."""

from __future__ import annotations

from pathlib import Path

from msbench.records.record import Record
from msbench.store.store import LOG

FAILURE = "failure.txt"
TAIL = 40
RESULTS = ("model.safetensors", "mask.safetensors", "history.parquet", "samples.png")
"""Files of a result, which may have been half written."""


def end_badly(folder: Path, record: Record) -> None:
    """Leave `failure.txt` in a run's folder: its status, its reason and the end of its log; results are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)
    lines = [f"{record.status}: {record.reason}", "", f"The end of {LOG}:", *_lines(folder / LOG)[-TAIL:]]
    (folder / FAILURE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def last_line(log: Path) -> str:
    """The last that a process said."""
    lines = _lines(log)
    return lines[-1][:300] if lines else "nothing in its log"


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return []
