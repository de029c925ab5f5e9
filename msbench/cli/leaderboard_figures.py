"""`msbench leaderboard figures`: the figures of boards, or of one run, as PDF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from msbench.cli import leaderboard_options as lo
from msbench.cli import options as o

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msbench.board.plots import Figure
    from msbench.board.reading.load import Loaded


def figures(
    results: o.Results = None,
    records: lo.Records = None,
    out: Path | None = typer.Option(None, "-o", "--out", help="Folder to write. [RESULTS/figures]"),
    run: str | None = typer.Option(None, help="Those of one run in place of the boards', by its name or a part of it."),
) -> None:
    """Write the figures of every board, or of one run, as vector PDF files, a folder each. Needs msbench[pdf].

    Example: msbench leaderboard figures -o figures
    """
    from msbench.board.plots.pdf import write_pdfs
    from msbench.board.reading.load import load
    from msbench.errors import UserError

    source = lo.source_of(results, records)
    loaded = load(source.runs)
    if not loaded.runs:
        raise UserError(f"{source.named}: no runs there; make some with `msbench run`, or name another folder")
    folder = out or source.root / "figures"
    for title, name, found in _of_boards(loaded) if run is None else _of_run(loaded, run):
        written = write_pdfs(found, folder / name)
        typer.echo(f"{title}: {len(written)} figures in {(folder / name).resolve()}")


def _of_boards(loaded: Loaded) -> Iterator[tuple[str, str, list[Figure]]]:
    """Title, folder name and figures of each board."""
    from msbench.board.comparison.grouping import group
    from msbench.board.comparison.ranking import BoardRows
    from msbench.board.plots import board_figures

    for board in group(loaded.runs)[0]:
        yield board.title, board.slug, board_figures(BoardRows.of(board))


def _of_run(loaded: Loaded, text: str) -> Iterator[tuple[str, str, list[Figure]]]:
    """The same of one run."""
    from msbench.board.plots import run_figures
    from msbench.errors import UserError, nearest

    runs = {run.run_id: run for run in loaded.runs}
    found = [text] if text in runs else [run_id for run_id in runs if text in run_id]
    if len(found) != 1:
        raise UserError(f"--run {text!r}: " + (f"fits {len(found)} runs" if found else nearest(text, list(runs))))
    run = runs[found[0]]
    delta = run.record.delta
    yield run.run_id, run.run_id, run_figures(run, runs.get(delta.dense_run) if delta else None)
