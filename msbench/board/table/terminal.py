"""The compact table that `msbench run` prints at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from msbench.board import text
from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows, rank_notice
from msbench.board.comparison.rows import Row, status_of
from msbench.board.reading.load import Run
from msbench.board.table import cells
from msbench.board.table.columns import metric_notes
from msbench.records.record import Record, TaskPart

_LEGEND = "Below: rank; change against dense in %; Δ_T's 95 % interval, worst task's Δ_T; sparsity asked."
_STYLES = {"good": "green", "bad": "red", "warn": "yellow"}


def render_text(records: Iterable[Record]) -> Table:
    """One line a sparsifier and budget, mean over seeds; a rule between boards, reasons below the table.

    Fits 80 columns with three tasks. Names and reasons are printed as they are: nothing in a record is markup.
    """
    boards, unplaced = group(Run(record, Path()) for record in records)
    data = [BoardRows.of(board) for board in boards]
    tasks = {task.name: task for board in boards for task in board.tasks}
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title_justify="left", caption_justify="left")
    table.title = Text("\n".join(f"{item.board.title}, {_seeds(item)}" for item in data))
    table.add_column("method", overflow="fold")
    table.add_column("status\nrank", overflow="fold")
    for task in tasks.values():
        table.add_column(_header(task, data), justify="right", overflow="fold")
    devices = _devices(data)
    measured = "\n".join(cells.device_name(device) for device in devices)
    table.add_column("Δ_T\n%", justify="right", min_width=6)
    for title in ("spars.\n%", "params", f"speed\n{measured}"):
        table.add_column(title, justify="right", no_wrap=True)

    reasons = [_LEGEND]
    for item in data:
        reasons += [rank_notice(item), *item.ranking.refusals] if item.rows else []
        broken = [row for row in item.rows if not row.finished]
        for row in [*item.shown, *broken]:
            table.add_row(*_line(item, row, list(tasks.values()), devices))
            reasons += [f"{row.sparsifier.name}: {objection}" for objection in row.objections]
        table.add_section()
    for run in unplaced:
        table.add_row(Text(run.record.sparsifier.name), Text(run.record.status, "red"))
        reasons.append(f"{run.record.sparsifier.name}: {run.record.status}: {run.record.reason}")
    table.caption = Text("\n".join(reasons))
    return table


def _seeds(data: BoardRows) -> str:
    return text.plural(len({run.record.seed for run in data.board.everything}), "seed")


def _header(task: TaskPart, data: Sequence[BoardRows]) -> Text:
    """Task, metric and the constant predictor's value, from the first board that has this task."""
    for item in data:
        if spec := item.headline(task):
            notes = metric_notes(spec, item.decimals(task.name, task.headline))
            return Text("\n".join([task.name, *notes]))
    return Text(task.name)


def _line(data: BoardRows, row: Row, tasks: Sequence[TaskPart], devices: Sequence[str]) -> list[Text]:
    tone, words = status_of(row)
    name, status = Text(row.sparsifier.name), Text(words, _STYLES[tone])
    if not row.finished:
        return [name, status]
    return [
        name,
        _ranked(data, row, status),
        *(_quality(data, row, task) for task in tasks),
        _delta(row),
        _sparsity(row),
        _pair(cells.ratio_cell(row, row.compression(lambda part: part.parameters)).main),
        Text("\n").join(_pair(cells.measured_cell(row, device).main) for device in devices),
    ]


def _quality(data: BoardRows, row: Row, task: TaskPart) -> Text:
    if task.name not in data.specs:
        return Text()
    cell = cells.task_cell(row, task, data.decimals(task.name, task.headline), row is data.dense)
    return _pair(cell.main, cell.sub.removesuffix(f"{text.THIN}%"))


def _ranked(data: BoardRows, row: Row, status: Text) -> Text:
    """The status, and below it the rank range where there is one."""
    if row not in data.ranks:
        return status
    return Text.assemble(status, "\n", (cells.rank_cell(data.ranks[row], False).main, "dim"))


def _delta(row: Row) -> Text:
    """Mean Δ_T, its interval, and the worst task's."""
    worst = [found.mean for task in row.runs[0].record.tasks if (found := row.task_delta(task.name))]
    interval = row.delta_mean.interval if row.delta_mean else None
    ends = f"{text.signed(interval.low)}, {text.signed(interval.high)}" if interval else ""
    below = [ends, text.signed(min(worst), 2) if worst else ""]
    return _pair(cells.delta_cell(row).main, "\n".join(filter(None, below)))


def _sparsity(row: Row) -> Text:
    asked = row.summary(lambda run: run.record.budget.asked if run.record.budget else None)
    achieved, target = (text.number(100 * found.mean, 1) if found else "" for found in (row.achieved, asked))
    return _pair(achieved or text.GAP, target)


def _devices(data: Sequence[BoardRows]) -> list[str]:
    """Kinds of device that anything was measured on; the CPU when nothing was."""
    found = [kind for item in data for kind in item.devices() if any(row.latencies(kind) for row in item.shown)]
    return list(dict.fromkeys(found)) or ["cpu"]


def _pair(main: str, below: str = "") -> Text:
    result = Text(main)
    if below:
        result.append(f"\n{below}", "dim")
    return result
