"""`msbench leaderboard`: the pages, and the records that are published."""

from __future__ import annotations

import typer

from msbench.cli import leaderboard_figures, leaderboard_publish, leaderboard_serve
from msbench.cli import leaderboard_options as lo
from msbench.cli import options as o

app = typer.Typer(help="The static leaderboard.", no_args_is_help=True, rich_markup_mode=None)
app.command("figures")(leaderboard_figures.figures)
app.command("publish")(leaderboard_publish.publish)
app.command("merge")(leaderboard_publish.merge)
app.command("check")(leaderboard_publish.check)
app.command("serve")(leaderboard_serve.serve)


@app.callback()
def group() -> None:
    """The static leaderboard."""


@app.command("build")
def build(
    results: o.Results = None,
    records: lo.Records = None,
    out: lo.Out = None,
    figures: lo.Figures = False,
    plugin: o.PluginSources = None,
) -> None:
    """Build the pages from every record in the store, or in a folder of published records.

    Example: msbench leaderboard build --records leaderboard/records -o site
    """
    from msbench.board.site.build import build_site

    source = lo.source_of(results, records, out)
    built = build_site(source.runs, source.out, source.library(plugin), figures=figures)
    typer.echo(f"Leaderboard: {built.index.resolve()}")


@app.command("audit")
def audit(
    results: o.Results = None,
    records: lo.Records = None,
    board: str | None = typer.Option(None, help="Only boards whose title or file name contains this."),
    json: bool = typer.Option(False, "--json", help="Print JSON, for machines."),
) -> None:
    """Say which points of good pruning evaluation each board meets; exit code 1 when one is not met.

    Example: msbench leaderboard audit
    """
    from msbench.board.auditing.audit import audit as judge
    from msbench.board.comparison.grouping import group as group_runs
    from msbench.board.reading.load import load
    from msbench.errors import UserError

    source = lo.source_of(results, records)
    loaded = load(source.runs)
    if not loaded.runs and not loaded.unreadable:
        raise UserError(f"{source.named}: no runs there; make some with `msbench run`, or name another folder")
    boards, unplaced = group_runs(loaded.runs)
    if board is not None:
        titles = [found.title for found in boards]
        boards = [found for found in boards if board.lower() in f"{found.title} {found.slug}".lower()]
        if not boards:
            raise UserError(f"--board {board}: no such board; there are {'; '.join(titles)}")
    found = judge(loaded, boards, unplaced)
    typer.echo(found.json() if json else found.text())
    raise typer.Exit(0 if found.passed else 1)
