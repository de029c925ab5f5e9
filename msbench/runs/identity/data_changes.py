"""Which data files a run has not seen as they are now, for a person who asks why it would run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msbench.data.dataset import PARTS, Dataset
from msbench.data.packed import PackedDataset
from msbench.records.parts import DatasetPart

NAMED = 4
"""Files of one part that are named; of more, how many."""


def changed_data(dataset: Dataset, then: DatasetPart | None, at: int) -> list[str]:
    """What is known of a change, one line for each part of the data; nothing of data that do not lie in files.

    then: the data as the run's record has them. at: when the run was planned, in nanoseconds; what was written later
    is another file, or the same one touched, which only packing it again tells.
    """
    if not isinstance(dataset, PackedDataset) or dataset.packed_root() is not None:
        return []
    root = dataset.folder()
    found = []
    index = dataset.index(root)
    for part in PARTS:
        items = index[part]
        before = getattr(then, part) if then is not None else len(items)
        if before != len(items):
            found.append(f"data of {part}: {len(items)} samples, there were {before}")
        newer = list(_newer({file for item in items for file in item.files}, at))
        if newer:
            names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in newer[:NAMED]]
            more = f" and {len(newer) - NAMED} more" if len(newer) > NAMED else ""
            found.append(f"data of {part}: written since: {', '.join(names)}{more}")
    return found or ["data: as many samples, and no file is newer than that run: one took another's place"]


def _newer(files: set[Path], at: int) -> Iterator[Path]:
    """The files that were written after this time, by name; where none was, those that were put there after it."""
    stats = {file: file.stat() for file in sorted(files)}
    written = [file for file, stat in stats.items() if stat.st_mtime_ns > at]
    return iter(written or [file for file, stat in stats.items() if stat.st_ctime_ns > at])
