"""Yes-or-no attributes of images, from a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import nn

from msbench.api import UserError

from .layout import DENSE, SUFFIXES

_ANSWERS: Final[Mapping[str, bool | None]] = {
    "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "-1": False, "": None,
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """columns: attributes. rows: by image name without ending, an answer for each column; None is unknown."""

    file: Path
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[bool | None, ...]]

    def answers(self, name: str) -> Mapping[str, bool | None]:
        """The answers for one image; UserError where it has no row."""
        if name not in self.rows:
            raise UserError(f"{self.file}: no row for image {name}; every image needs one (leave unknown cells empty)")
        return dict(zip(self.columns, self.rows[name], strict=True))


def read_columns(file: Path) -> tuple[str, ...]:
    """The attributes of a table, from its first line."""
    return _checked_columns(file, next(_lines(file), (1, []))[1])


def read_table(file: Path) -> Table:
    """The whole table; UserError names the line of whatever is wrong."""
    lines = _lines(file)
    columns = _checked_columns(file, next(lines, (1, []))[1])
    rows: dict[str, tuple[bool | None, ...]] = {}
    for number, cells in lines:
        if len(cells) != len(columns) + 1:
            raise UserError(f"{file}, line {number}: {len(cells)} cells, expected {len(columns) + 1}")
        name = Path(cells[0]).stem if Path(cells[0]).suffix.lower() in SUFFIXES["images"] else cells[0]
        if name in rows:
            raise UserError(f"{file}, line {number}: a second row for image {name}; keep one")
        for column, answer in zip(columns, cells[1:], strict=True):
            if answer.lower() not in _ANSWERS:
                raise UserError(f"{file}, line {number}: {column} is {answer!r}, neither 1 nor 0 (empty: unknown)")
        rows[name] = tuple(_ANSWERS[answer.lower()] for answer in cells[1:])
    return Table(file, columns, rows)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and stripped cells of every line that is not empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            for cells in reader:
                if any(cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as a table ({error}); save it as CSV in UTF-8") from error


def _checked_columns(file: Path, header: list[str]) -> tuple[str, ...]:
    if not header or header[0].lower() != "name":
        found = repr(",".join(header)) if header else "nothing"
        raise UserError(f"{file}: the first line is {found}, expected name,COLUMN,… separated by commas")
    columns = tuple(header[1:])
    if not columns or len(set(columns)) < len(columns):
        raise UserError(f"{file}: expected different columns after 'name', found {', '.join(columns) or 'none'}")
    for column in columns:
        # the network keeps its heads under these names
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", column) or column in DENSE or hasattr(nn.ModuleDict, column):
            raise UserError(f"{file}: column {column!r} cannot name a task; rename it (letters, digits and _)")
    return columns
