"""`msbench leaderboard`: the pages."""

from __future__ import annotations

from pathlib import Path

import typer

from msbench.cli import options as o

app = typer.Typer(help="The static leaderboard.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """The static leaderboard."""


@app.command("build")
def build(
    results: o.Results = None,
    out: Path | None = typer.Option(None, "-o", "--out", help="Folder to write. [RESULTS/leaderboard]"),
) -> None:
    """Build the pages from every record in the store.

    Example: msbench leaderboard build
    """
    from msbench.board.build import build as build_pages
    from msbench.errors import UserError
    from msbench.runs.store import Store

    store = Store(o.results_folder(results))
    if not store.runs.is_dir():
        raise UserError(f"--results {store.root}: no runs there; make some with `msbench run`, or name another folder")
    index = build_pages(store.runs, out or store.leaderboard)
    typer.echo(f"Leaderboard: {index.resolve()}")


@app.command("audit")
def audit(
    results: o.Results = None,
    json: bool = typer.Option(False, "--json", help="Print JSON, for machines."),
) -> None:
    """Say which points of good pruning evaluation each board meets; exit code 1 when one is not met.

    Example: msbench leaderboard audit
    """
    from msbench.board.audit import audit as judge
    from msbench.board.grouping import group as group_runs
    from msbench.board.load import load
    from msbench.errors import UserError
    from msbench.runs.store import Store

    store = Store(o.results_folder(results))
    loaded = load(store.runs)
    if not loaded.runs and not loaded.unreadable:
        raise UserError(f"--results {store.root}: no runs there; make some with `msbench run`, or name another folder")
    boards, unplaced = group_runs(loaded.runs)
    found = judge(loaded, boards, unplaced)
    typer.echo(found.json() if json else found.text())
    raise typer.Exit(0 if found.passed else 1)
