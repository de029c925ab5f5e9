"""Processes of a store that are alive."""

from __future__ import annotations

from pathlib import Path


def workers(folder: Path) -> list[str]:
    """Command lines of live worker processes of a store."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "msbench.runs.worker" in line and str(folder) in line:
            found.append(line)
    return found
