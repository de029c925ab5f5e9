"""The attribute list: one row of -1 and 1 an image, columns named in its header."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msbench.api import CorruptSampleError, UserError

FILE: Final = "CelebAMask-HQ-attribute-anno.txt"
_ANSWERS: Final = {"1": True, "-1": False, "0": False}


@dataclass(frozen=True)
class AttributeTable:
    """The list as it is on disk. rows: by image file name, not split yet, which saves most of the time."""

    file: Path
    columns: tuple[str, ...]
    rows: Mapping[str, str]

    def check(self, names: Sequence[str]) -> None:
        """UserError where a name is no column."""
        for name in names:
            if name not in self.columns:
                close = difflib.get_close_matches(name, self.columns, n=1)
                hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(self.columns)}"
                raise UserError(f"data.attributes: {self.file} has no column {name}; {hint}")

    def answers(self, image: str, names: Sequence[str]) -> list[bool]:
        """Whether the image has these attributes."""
        if image not in self.rows:
            raise CorruptSampleError(f"{self.file}: no row for {image}; copy the list again")
        values = self.rows[image].split()[1:]
        if len(values) != len(self.columns) or not set(values) <= _ANSWERS.keys():
            expected = f"{len(self.columns)} values of -1 or 1"
            raise CorruptSampleError(f"{self.file}: the row of {image} is not {expected}; copy the list again")
        return [_ANSWERS[values[self.columns.index(name)]] for name in names]


def read_attributes(file: Path) -> AttributeTable:
    """The list with or without its first line, the number of rows: some loaders want that line removed."""
    if not file.is_file():
        raise UserError(f"{file}: file is missing; copy it from the CelebAMask-HQ archive, or say data.attributes=[]")
    lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    promised = int(lines.pop(0)) if lines and re.fullmatch("[0-9]{1,9}", lines[0].strip()) else None
    rows = {line.split(maxsplit=1)[0]: line for line in lines[1:]}
    if not rows or (promised is not None and len(rows) < promised):
        raise UserError(f"{file}: {len(rows)} rows where {promised or 'some'} were expected; copy it again")
    return AttributeTable(file, tuple(lines[0].split()), rows)
