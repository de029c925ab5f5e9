"""A filled table as a page of the leaderboard shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from msbench.board import text
from msbench.board.library.shelf import Papers
from msbench.board.library.tables import PaperCell, PaperColumn, PaperLine, PaperView
from msbench.board.reading.load import Run
from msbench.board.table.summary import warnings
from msbench.compose import config_folder
from msbench.papers.fill import Filled, Line, Wanted, fill
from msbench.papers.grid import Grid, GridRow, heading
from msbench.papers.schema import Column, load_table, names
from msbench.records.record import Record


def papers(unpruned: frozenset[str]) -> Papers:
    """Every published table. unpruned: names of the sparsifiers that remove nothing."""

    def views(records: Sequence[Record]) -> list[PaperView]:
        return [view(fill(load_table(name), records, unpruned, Wanted())) for name in names()]

    digests = {name: hashlib.sha256((config_folder() / f"{name}.yaml").read_bytes()).hexdigest() for name in names()}
    return Papers(digests, views)


def view(filled: Filled) -> PaperView:
    """One table: ours, the published value, and the difference where both are the same figure."""
    table, grid = filled.table, Grid.of(filled)
    lines = [_line(filled, line, row) for line, row in zip(filled.lines, grid.rows, strict=False)]
    lines += [_constant(row) for row in grid.rows[len(filled.lines) :]]
    return PaperView(
        preset=table.preset,
        table=table.table,
        title=table.title,
        paper=table.paper,
        shows=table.shows,
        published_on=table.published_on,
        header=table.row_header,
        columns=tuple(PaperColumn(heading(column)[0], column.ours) for column in table.columns),
        lines=tuple(lines),
        ours=grid.source[-1].removeprefix("Ours: "),
        below=tuple(_without_commands(filled, grid.below)),
        notes=grid.notes,
        command=filled.command,
        complete=filled.complete,
        newest=filled.newest,
        warnings=tuple(warnings(Run(record, Path()) for record in filled.used)),
    )


def _line(filled: Filled, line: Line, row: GridRow) -> PaperLine:
    cells = [
        PaperCell(ours, published, _difference(filled, line, column))
        for column, ours, published in zip(filled.table.columns, row.ours, row.paper, strict=True)
    ]
    runs = tuple((record.run_id, record.seed) for record in line.chosen)
    return PaperLine(row.label, tuple(cells), runs, row.state, line.command)


def _constant(row: GridRow) -> PaperLine:
    return PaperLine(row.label, tuple(PaperCell(ours) for ours in row.ours))


def _difference(filled: Filled, line: Line, column: Column) -> str:
    """Ours less the published value; empty where either is missing, or ours is another figure."""
    ours, published = filled.ours(line, column), line.row.published.get(column.id)
    if ours is None or published is None or column.ours:
        return ""
    return text.signed(ours.mean - published.mean, column.decimals)


def _without_commands(filled: Filled, below: Iterable[str]) -> list[str]:
    """What is written below the table, less the commands, which stand in blocks of their own."""
    commands = {filled.command, *(line.command for line in filled.lines)} - {""}
    return [line for line in below if not any(line.endswith(command) for command in commands)]
