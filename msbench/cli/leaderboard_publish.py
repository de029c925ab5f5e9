"""`msbench leaderboard publish`, `merge` and `check`: records that others can see, and check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from msbench.cli import leaderboard_options as lo
from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.publishing.shelve import Shelved

PUBLIC = Path("leaderboard")


def publish(
    runs: list[str] = typer.Argument(None, metavar="[RUN]...", help="Runs, by name or a part of it."),
    every: bool = typer.Option(False, "--all", help="Every run of the store."),
    to: lo.To = PUBLIC,
    verified_only: bool = typer.Option(
        False, "--verified-only", help="Only runs that `msbench results verify` found nothing wrong with."
    ),
    no_pictures: bool = typer.Option(False, "--no-pictures", help="Without pictures of predictions and data."),
    figures: lo.Figures = False,
    results: o.Results = None,
    plugin: o.PluginSources = None,
) -> None:
    """Copy runs, with the runs they are compared with, to the public folder, and build its pages.

    Records, histories, and pictures of synthetic data are copied, weights never. What is not valid is refused with a
    line each, and a record of the same run and machine with other figures is never replaced: exit code 1.

    Example: msbench leaderboard publish --all --to leaderboard
    """
    from msbench.errors import UserError
    from msbench.publishing.publish import PublicFolder
    from msbench.publishing.publish import publish as copy
    from msbench.publishing.shelve import BAD
    from msbench.store.store import Store

    if bool(runs) == every:
        raise UserError("name runs, or --all for every run of the store (not both)")
    store = Store(o.results_folder(results))
    chosen = store.ids() if every else [store.resolve(run) for run in runs]
    if not chosen:
        raise UserError(f"--results {store.root}: no runs there; make some with `msbench run`, or name another folder")
    folder = PublicFolder(to)
    found = copy(store, chosen, folder, verified_only=verified_only, pictures=not no_pictures)
    _say(found)
    _build(folder.records, folder.site, plugin, figures)
    raise typer.Exit(1 if any(item.kind in BAD for item in found) else 0)


def merge(
    sources: list[Path] = typer.Argument(
        ..., metavar="SOURCE...", help="Folders of runs or records, or archives of them (.zip, .tar.gz, .tgz)."
    ),
    to: lo.To = PUBLIC,
    figures: lo.Figures = False,
    plugin: o.PluginSources = None,
) -> None:
    """Bring records of several machines together in the public folder, and build its pages.

    The same run of another machine is kept beside the first. Conflicts (the same run and machine, other figures) and
    what cannot be read are listed: exit code 1.

    Example: msbench leaderboard merge workstation/results server.tar.gz --to leaderboard
    """
    from msbench.board.inert import line
    from msbench.publishing.merge import merge as bring
    from msbench.publishing.publish import PublicFolder

    folder = PublicFolder(to)
    merged = bring(sources, folder)
    for one in merged:
        typer.echo(f"{one.source}:")
        _say(one.records)
        for why in one.passed_over:
            typer.echo(line(f"not read: {why}"))
    _build(folder.records, folder.site, plugin, figures)
    raise typer.Exit(0 if all(one.good for one in merged) else 1)


def check(
    records: Path = typer.Option(PUBLIC / "records", help="The folder of published records."),
) -> None:
    """Check every published record: schema, ranges, digests of its files, name and machine; exit code 1 if one is bad.

    Example: msbench leaderboard check --records leaderboard/records
    """
    from msbench.board.inert import line
    from msbench.errors import UserError
    from msbench.publishing.published import check_folder

    if not records.is_dir():
        raise UserError(f"--records {records}: no such folder; `msbench leaderboard publish` makes one")
    bad = count = 0
    for folder in sorted(path for path in records.iterdir() if not path.name.startswith(".")):
        wrong = check_folder(folder)[1]
        count += 1
        bad += bool(wrong)
        for objection in wrong:
            typer.echo(line(f"{folder.name}: {objection}"))
    typer.echo(f"{count} records, {bad} of them not valid.")
    raise typer.Exit(1 if bad else 0)


def _say(found: Iterable[Shelved]) -> None:
    """A line for each record that is not as it should be, and how many there are of each kind."""
    from msbench.publishing.shelve import BAD

    items = list(found)
    for item in items:
        if item.kind in BAD or item.kind == "another machine":
            typer.echo(str(item))
    counts = Counter(item.kind for item in items)
    typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing")


def _build(records: Path, site: Path, plugin: list[str] | None, figures: bool) -> None:
    from msbench.board.site.build import build_site

    source = lo.source_of(None, records, site)
    built = build_site(source.runs, source.out, source.library(plugin), figures=figures)
    typer.echo(f"Leaderboard: {built.index.resolve()}")
