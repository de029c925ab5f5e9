"""`msbench leaderboard serve`: the pages on this machine, rebuilt when records change."""

from __future__ import annotations

import contextlib

import typer

from msbench.cli import leaderboard_options as lo
from msbench.cli import options as o


def serve(
    results: o.Results = None,
    records: lo.Records = None,
    out: lo.Out = None,
    port: int = typer.Option(8000, min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one."),
    open_: bool = typer.Option(False, "--open", help="Open the pages in a browser."),
    plugin: o.PluginSources = None,
) -> None:
    """Serve the pages to this machine, and build them again whenever a record changes; Ctrl-C ends it.

    Example: msbench leaderboard serve --open
    """
    import threading
    import webbrowser

    from msbench.board.site.build import build_site
    from msbench.errors import UserError
    from msbench.publishing.serve import served, watch
    from msbench.runs.trouble import ends_are_interrupts

    source = lo.source_of(results, records, out)
    library = source.library(plugin)
    build_site(source.runs, source.out, library)

    def rebuild() -> None:
        try:
            built = build_site(source.runs, source.out, library)
        except (UserError, OSError) as error:  # the next change may be better
            typer.echo(f"Not built: {error}", err=True)
        else:
            typer.echo(f"Built again: {len(built.loaded.runs)} runs, {len(built.made)} files made.")

    with served(source.out, port) as address:
        typer.echo(f"Serving {source.out} on {address} (Ctrl-C ends)")
        if open_:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt), ends_are_interrupts():
            watch(source.runs, rebuild, threading.Event())
    typer.echo("Stopped.")
