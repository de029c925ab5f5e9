"""Tables of a board, ready to be written as HTML: the main one, and every metric of each task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row, Target
from msbench.board.library.names import method_href
from msbench.board.table.cells import Cell, change_cell, device_name, set_ups
from msbench.board.table.columns import Column, first_direction, main_columns, metric_notes
from msbench.board.table.facets import Facet, anchor_of, command_of, facets, facets_of, package_of

Role = Literal["dense", "reference", ""]


@dataclass(frozen=True)
class Line:
    """One line of a table. `notes` numbers the sparsifier's rulings; a row without a result has no cells."""

    row: Row
    cells: tuple[Cell, ...]
    role: Role = ""
    best: bool = False
    notes: tuple[int, ...] = ()
    anchor: str = ""
    """The line's id on the page."""
    variant: str = ""
    """What tells this row from others of the same sparsifier; empty when there is no other."""

    @property
    def command(self) -> str:
        """What repeats the row's runs."""
        return command_of(self.row)

    @property
    def page(self) -> str:
        """Path of the method's own page."""
        return method_href(self.row.sparsifier.name)

    @property
    def package(self) -> str:
        """The package of the sparsifier's plugin."""
        return package_of(self.row)

    @property
    def tokens(self) -> dict[str, str]:
        """What the line can be filtered by: facet to tokens with a space between."""
        return {key: " ".join(found) for key, found in facets_of(self.row).items()}


@dataclass(frozen=True)
class Section:
    """Lines that share one target; sorting stays inside. The dense control's has no title."""

    title: str
    lines: tuple[Line, ...]
    note: str = ""


@dataclass(frozen=True)
class MainTable:
    """The main table. `notes` are the runs' rulings, numbered from 1; `devices` what was measured where."""

    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    devices: Mapping[str, tuple[str, ...]]
    """Device to its set-ups in words; none where nothing was measured on it."""
    facets: tuple[Facet, ...]

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Column groups and the columns of each."""
        return [(name, list(columns)) for name, columns in groupby(self.columns, lambda column: column.group)]


@dataclass(frozen=True)
class DetailTable:
    """Every metric of one task."""

    task: str
    kind: str
    columns: tuple[tuple[str, tuple[str, ...], str], ...]
    """Key, header lines, first sort direction."""
    lines: tuple[Line, ...]
    targets: bool
    """Whether there are several targets, so that each line must name its own."""


def main_table(data: BoardRows) -> MainTable:
    """The dense control, one section a target, and at the bottom what has no result."""
    columns = main_columns(data)
    notes = list(dict.fromkeys(note for row in data.rows for note in row.sparsifier.notes))
    sections = [Section("", (_line(data, data.dense, columns, notes),))] if data.dense else []
    by_target: dict[Target, list[Line]] = defaultdict(list)
    for row in data.rows:
        if row.finished:
            by_target[row.target].append(_line(data, row, columns, notes))
    sections += [_section(target, by_target[target]) for target in sorted(by_target)]
    broken = tuple(_line(data, row, columns, notes) for row in data.rows if not row.finished)
    if broken:
        sections.append(Section("No result", broken, "kept here with the reason"))
    return MainTable(tuple(columns), _unique(sections), tuple(notes), _devices(data), facets(data.rows))


def detail_tables(data: BoardRows) -> list[DetailTable]:
    """Every test metric of every task, mean and spread over seeds."""
    tables = []
    targets = {row.target for row in data.rows if row.finished}
    for task in data.board.tasks:
        specs = data.specs[task.name]
        decimals = {name: data.decimals(task.name, name) for name in specs}
        lines = []
        for row in data.shown:
            dense = row is data.dense
            values = tuple(change_cell(row, task.name, name, decimals[name], dense) for name in specs)
            lines.append(Line(row, values, _role(data, row), variant=_variant(data, row)))
        columns = tuple(
            (name, metric_notes(spec, decimals[name]), first_direction(spec)) for name, spec in specs.items()
        )
        if columns:
            tables.append(DetailTable(task.name, task.kind, columns, tuple(lines), len(targets) > 1))
    return tables


def _unique(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Lines that would share an anchor get numbers."""
    seen: Counter[str] = Counter()

    def numbered(line: Line) -> Line:
        seen[line.anchor] += 1
        count = seen[line.anchor]
        return line if count == 1 else replace(line, anchor=f"{line.anchor}-{count}")

    return tuple(replace(section, lines=tuple(map(numbered, section.lines))) for section in sections)


def _line(data: BoardRows, row: Row, columns: Sequence[Column], notes: Sequence[str]) -> Line:
    rank = data.ranks.get(row)
    return Line(
        row=row,
        cells=tuple(column.make(row) for column in columns) if row.finished else (),
        role=_role(data, row),
        best=rank is not None and rank[0] == 1,
        notes=tuple(notes.index(note) + 1 for note in row.sparsifier.notes if note in notes),
        anchor=anchor_of(row),
        variant=_variant(data, row),
    )


def _variant(data: BoardRows, row: Row) -> str:
    """The parameters in which rows of the same sparsifier name differ."""
    params = row.sparsifier.params
    others = [other.sparsifier.params for other in data.rows if other.sparsifier.name == row.sparsifier.name]
    differing = (key for key in params if any(other.get(key) != params[key] for other in others))
    return ", ".join(f"{key}={params[key]}" for key in differing)


def _role(data: BoardRows, row: Row) -> Role:
    return "dense" if row is data.dense else "reference" if row.reference else ""


def _section(target: Target, lines: Sequence[Line]) -> Section:
    reference = next((line.row.sparsifier.name for line in lines if line.role == "reference"), "")
    note = f"target: what {reference} achieved with the same seed" if reference else ""
    if target.natural:
        note = "each method stops where it likes, so these rows are not ranked against each other"
    return Section(target.label, tuple(lines), note)


def _devices(data: BoardRows) -> dict[str, tuple[str, ...]]:
    """Device kind to the set-ups that were measured, in words."""
    found = {}
    for kind in data.devices():
        setups = {words for row in data.shown for words in set_ups(row.timed, kind)}
        found[device_name(kind)] = tuple(sorted(setups))
    return found
