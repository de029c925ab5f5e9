"""Rows of boards as lines of a method's or a dataset's page: plain text, ready to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msbench.board import text
from msbench.board.comparison.grouping import Board
from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row, status_of
from msbench.board.library.names import method_of
from msbench.board.reading.load import Run
from msbench.board.site.page import digest
from msbench.board.site.site import Site
from msbench.board.statistics import Summary
from msbench.board.table.cells import interval_text
from msbench.board.text import GAP


@dataclass(frozen=True)
class RowLine:
    """One row of one board. delta, interval: Δ_T in percent. speedup: measured, by device. tone: of the status."""

    board: Board
    href: str
    name: str
    target: str
    rank: str
    delta: str
    interval: str
    worst: str
    sparsity: str
    theoretical: str
    speedup: str
    status: str
    tone: str
    runs: Sequence[Run]


def line_digests(site: Site, board: Board) -> dict[str, str]:
    """By method: a digest of the lines that a board has on its page, beside where the board and its runs lie."""
    key = site.digest_of(board)
    if key not in site.lines:
        found: dict[str, list[object]] = {}
        for line in _board_lines(site, board):
            names = [run.run_id for run in line.runs]
            found.setdefault(method_of(line.name), []).append({**vars(line), "board": board.title, "runs": names})
        site.lines[key] = {method: digest(lines) for method, lines in found.items()}
    return site.lines[key]


def boards_of(site: Site, method: str) -> list[Board]:
    """The boards on which a method has runs."""
    return [board for board in site.boards if any(method_of(name) == method for name in site.names(board))]


def row_lines(site: Site, method: str) -> Iterator[RowLine]:
    """Every row that a method has, board by board."""
    for board in boards_of(site, method):
        yield from _board_lines(site, board, method)


def _board_lines(site: Site, board: Board, method: str = "") -> Iterator[RowLine]:
    """Rows of one method, or of all, on one board."""
    data = site.rows(board)
    rows = [data.dense, *data.rows] if data.dense else data.rows
    for row in rows:
        if method in ("", method_of(row.sparsifier.name)):
            yield _line(site, data, row)


def _line(site: Site, data: BoardRows, row: Row) -> RowLine:
    delta, rank = row.delta_mean, data.ranks.get(row)
    tone, status = status_of(row)
    # A theoretical ratio is no claim of its own: it stands only beside a network that was shown equal.
    theoretical = row.speedup(lambda part: part.theoretical) if row.proven else None
    return RowLine(
        board=data.board,
        href=site.href(data.board),
        name=row.sparsifier.name,
        target="dense control" if row is data.dense else row.target.label,
        rank=GAP if rank is None else text.seeds(rank) if rank[0] == rank[1] else f"{rank[0]}{GAP}{rank[1]}",
        delta=text.signed(delta.mean, 2) if delta else GAP,
        interval=interval_text(delta.interval, 2) if delta else "",
        worst=_worst(row, [task.name for task in data.board.tasks]),
        sparsity=_share(row.achieved),
        theoretical=text.times(theoretical.mean) if theoretical else GAP,
        speedup=_measured(data, row),
        status=status,
        tone=tone,
        runs=row.runs,
    )


def _worst(row: Row, tasks: Sequence[str]) -> str:
    deltas = {task: found.mean for task in tasks if (found := row.task_delta(task))}
    if not deltas:
        return GAP
    worst = min(deltas, key=lambda task: deltas[task])
    return f"{worst} {text.signed(deltas[worst], 2)}"


def _share(summary: Summary | None) -> str:
    return text.percent(summary.mean) if summary else GAP


def _measured(data: BoardRows, row: Row) -> str:
    if not row.proven:
        return GAP
    found = {device: row.measured(device) for device in data.devices()}
    names = {"cpu": "CPU", "cuda": "GPU"}
    said = [f"{text.times(part.mean)} {names.get(kind, kind)}" for kind, part in found.items() if part]
    return ", ".join(said) or GAP
