"""`msbench results clean`: space back from the store."""

from __future__ import annotations

from pathlib import Path

import typer

from msbench.cli import options as o

PUBLISHED = Path("leaderboard", "records")


def clean(
    older_than: float = typer.Option(0.0, min=0, metavar="DAYS", help="Only what is older than this."),
    failed: bool = typer.Option(False, "--failed", help="Runs without a result: failed, killed, timed out, skipped."),
    superseded: bool = typer.Option(
        False, "--superseded", help="Runs of which there is a later one of the same configuration."
    ),
    starts: bool = typer.Option(False, "--starts", help="Every shared start, also those that can still be used."),
    weights: bool = typer.Option(
        False, "--weights", help="Weights that no other run starts from; such runs cannot be verified or compacted."
    ),
    published: Path | None = typer.Option(
        None, help="Published records; they and all that they rest on stay. [leaderboard/records, where there is one]"
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would go, and stop."),
    results: o.Results = None,
) -> None:
    """Remove what stopped runs have left, shared starts that can no longer be used, and what is asked for.

    A run stays that is published, or that a run which stays rests on: its dense run, its reference, the source of a
    meta-test or of a mask.

    Example: msbench results clean --failed --older-than 7 --dry-run
    """
    from msbench.runs.clean import Asked, alone, published_runs, remove, what_to_clean
    from msbench.store.store import Store

    store = Store(o.results_folder(results))
    if not store.runs.is_dir():
        typer.echo(f"No runs in {store.root}.")
        return
    if published is None and PUBLISHED.is_dir():
        published = PUBLISHED
    keep = published_runs(published) if published is not None else set()
    with alone(store) as locks:
        cleaning = what_to_clean(store, Asked(failed, superseded, starts, weights, older_than), keep)
        for removal in cleaning.removals:
            typer.echo(f"{removal.path.relative_to(store.root)}  {_size(removal.bytes)}  {removal.why}")
        for run_id, why in cleaning.kept.items():
            typer.echo(f"kept: runs/{run_id}: {why}")
        for run_id in cleaning.unreadable:
            typer.echo(f"left: runs/{run_id}: its record cannot be read, or it is a link")
        if not dry_run:
            remove(cleaning, locks)
    done = "Would remove" if dry_run else "Removed"
    typer.echo(f"{done} {len(cleaning.removals)} files and folders, {_size(cleaning.bytes)}.")
    if cleaning.removals and not dry_run:
        typer.echo("The pages still show what is gone until `msbench leaderboard build`.")


def _size(count: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
