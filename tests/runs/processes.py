"""Processes of a store that are alive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def command_lines() -> Iterator[str]:
    """Of every live process that may be looked at."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def workers(folder: Path) -> list[str]:
    """Command lines of live worker processes of a store."""
    return [line for line in command_lines() if "msbench.runs.engines.worker" in line and str(folder) in line]
