"""`msbench results verify`: is a record what its run's weights give?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from rich.console import Console

    from msbench.runs.verification.verify import Verified


def verify(
    run: str | None = typer.Argument(None, metavar="[RUN | RECORD.json]", help="A run, or a copy of its record."),
    every: bool = typer.Option(False, "--all", help="Every run of the store that left a network."),
    retrain: bool = typer.Option(False, "--retrain", help="Also make the run a second time, and compare."),
    plugin: o.PluginSources = None,
    results: o.Results = None,
) -> None:
    """Check a run's record against its weights, mask and data: hashes, budget, proof, compression, metrics, speed-up.

    Metrics must come out to the last digit on the same machine and device, within 1e-4 of their value elsewhere.
    What was found is left as verified.json beside the record. Exit code 1 where a check fails.

    Example: msbench results verify random-rooms
    """
    from msbench.cli.display import make_console
    from msbench.errors import UserError
    from msbench.plugins import load_plugins
    from msbench.runs.verification.verify import find_run, has_network
    from msbench.runs.verification.verify import verify as verified
    from msbench.store.store import Store, default_cache

    if (run is None) == (not every):
        raise UserError("results verify: name a run or a record, or give --all")
    store, console, plugins = Store(o.results_folder(results)), make_console(), load_plugins(plugin or [])
    if run is not None:
        asked = [find_run(store, run)]
    else:
        asked = [(run_id, None) for run_id in store.ids() if has_network(store, run_id)]
    good = True
    for run_id, copy in asked:
        found = verified(store, plugins, run_id, default_cache(), copy=copy, again=retrain, plugins_from=plugin or [])
        good = good and found.ok
        show(console, found)
    if not asked:
        console.print(f"No run in {store.root} has left a network.")
    if not good:
        raise typer.Exit(1)


def show(console: Console, found: Verified) -> None:
    """One verification as a table."""
    from rich.table import Table
    from rich.text import Text

    words = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("not checked", "yellow")}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in found.checks:
        word, style = words[check.ok]
        table.add_row(check.name, Text(word, style), Text(check.detail))
    where = "same machine and device: to the last digit" if found.same_machine else "another machine or device: 1e-4"
    verdict = "verified" if found.ok else "NOT verified"
    console.print(Text(f"{found.run_id}: {verdict} ({where})", "bold"), soft_wrap=True)
    console.print(table)
