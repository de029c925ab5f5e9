"""The compact table that `msbench run` prints at its end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table
from rich.text import Text

from msbench.board import cells, text
from msbench.board.cells import Cell
from msbench.board.columns import metric_notes
from msbench.board.grouping import Board, group
from msbench.board.load import Run
from msbench.board.ranking import BoardRows
from msbench.board.rows import Row, status_of
from msbench.runs.record import Record, TaskPart

_STYLES = {"good": "green", "bad": "red", "warn": "yellow", "muted": "dim", "": ""}


def render_text(records: Iterable[Record]) -> Table:
    """One line a sparsifier and budget, aggregated over seeds; several boards are set apart by a rule.

    Names and reasons are printed as they are: nothing in a record is read as markup.
    """
    boards, unplaced = group(Run(record, Path()) for record in records)
    tasks = {task.name: (task, board) for board in boards for task in board.tasks}
    table = Table(title=" · ".join(board.title for board in boards) or None, title_justify="left")
    table.add_column("method", overflow="fold")
    for task, board in tasks.values():
        table.add_column(_header(task, board), justify="right")
    for title in ("Δ_T %", "sparsity\nasked", "params", "speed-up\nmeasured"):
        table.add_column(title, justify="right")
    table.add_column("status", overflow="fold")

    for board in boards:
        data = BoardRows.of(board)
        broken = [row for row in data.rows if not row.finished]
        for row in [*data.shown, *broken]:
            table.add_row(*_line(data, row, [task for task, _ in tasks.values()]))
        table.add_section()
    for run in unplaced:
        blank = [""] * (len(table.columns) - 2)
        table.add_row(Text(run.record.sparsifier.name), *blank, _status(run.record.status, run.record.reason, "bad"))
    return table


def _header(task: TaskPart, board: Board) -> Text:
    data = BoardRows.of(board)
    spec = data.headline(task)
    return Text("\n".join([task.name, *(metric_notes(spec, data.decimals(task.name, task.headline)) if spec else ())]))


def _line(data: BoardRows, row: Row, tasks: Iterable[TaskPart]) -> list[Text]:
    n = len(row.finished)
    name = Text(row.sparsifier.name)
    name.append(f"\n{text.plural(len(row.runs), 'seed')}" if len(row.runs) > 1 else "", "dim")
    tone, words = status_of(row)
    status = _status(words, "; ".join(row.objections), tone)
    if not n:
        return [name, *(Text("") for _ in tasks), *(Text("") for _ in range(4)), status]
    known = {task.name for task in data.board.tasks}
    quality = [_text(_task(data, row, task)) if task.name in known else Text("") for task in tasks]
    return [
        name,
        *quality,
        _text(cells.delta_cell(row)),
        _text(cells.sparsity_cell(row)),
        _text(_parameters(row)),
        _measured(data, row),
        status,
    ]


def _task(data: BoardRows, row: Row, task: TaskPart) -> Cell:
    return cells.task_cell(row, task, data.decimals(task.name, task.headline), row is data.dense)


def _parameters(row: Row) -> Cell:
    return cells.ratio_cell(row, row.compression(lambda part: part.parameters))


def _measured(data: BoardRows, row: Row) -> Text:
    """Every device that was measured, or the declared gap."""
    found = [device for device in data.devices() if row.latencies(device)]
    parts = [_text(cells.measured_cell(row, device)) for device in found] or [_text(cells.measured_cell(row, "cpu"))]
    for device, part in zip(found, parts, strict=False):
        part.append(f" {cells.device_name(device)}", "dim")
    return Text("\n").join(parts)


def _text(cell: Cell) -> Text:
    style = _STYLES[cell.tone]
    result = Text(cell.main, style if cell.toned == "main" else "")
    if cell.spread:
        result.append(f" {cell.spread}", "dim")
    if cell.sub:
        result.append(f"\n{cell.sub}", style if cell.toned == "sub" and style else "dim")
    return result


def _status(words: str, why: str, tone: str) -> Text:
    result = Text(words.replace("_", " "), _STYLES[tone])
    if why:
        result.append(f"\n{why}", "dim")
    return result
