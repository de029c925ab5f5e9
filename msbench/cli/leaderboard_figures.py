"""`msbench leaderboard figures`: the boards' figures as PDF files."""

from __future__ import annotations

from pathlib import Path

import typer

from msbench.cli import options as o


def figures(
    results: o.Results = None,
    out: Path | None = typer.Option(None, "-o", "--out", help="Folder to write. [RESULTS/figures]"),
) -> None:
    """Write the figures of every board as vector PDF files, a folder a board. Needs matplotlib (msbench[pdf]).

    Example: msbench leaderboard figures -o figures
    """
    from msbench.board.grouping import group
    from msbench.board.load import load
    from msbench.board.plots import board_figures
    from msbench.board.plots.pdf import write_pdfs
    from msbench.board.ranking import BoardRows
    from msbench.errors import UserError
    from msbench.runs.store import Store

    store = Store(o.results_folder(results))
    boards, _ = group(load(store.runs).runs)
    if not boards:
        raise UserError(f"--results {store.root}: no runs there; make some with `msbench run`, or name another folder")
    folder = out or store.root / "figures"
    for board in boards:
        written = write_pdfs(board_figures(BoardRows.of(board)), folder / board.slug)
        typer.echo(f"{board.title}: {len(written)} figures in {(folder / board.slug).resolve()}")
