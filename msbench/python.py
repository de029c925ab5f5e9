"""`msbench.run`: the command line's main job, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from msbench.cli.display import Lines
from msbench.plugins import load_plugins, source_of
from msbench.request import make_request
from msbench.runs.suite import Outcome, run_experiment
from msbench.store.store import default_cache, default_results


def run(
    sparsifiers: Sequence[str | type] = (),
    *,
    budget: str | float | None = None,
    seeds: Sequence[int] = (0,),
    dataset: str | None = None,
    model: str | None = None,
    preset: str | None = None,
    meta_test: str | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | type] = (),
    results: Path | None = None,
    force: bool = False,
) -> Outcome:
    """Run sparsifiers under one budget and build the leaderboard; what is in the store is not run again.

    sparsifiers: names as `-s` takes them, or classes defined at the top of a file; none with the preset of a paper's
    table (`papers/NAME`), which names its own. budget: `matched` (the default), `natural` or a share. plugins:
    further classes, files or modules that hold datasets, backbones and so on. overrides: `key=value`. force: run
    again what was asked for and is in the store; the old result stands until the new one is finished. Raises UserError
    on bad input.
    """
    classes = [cls for cls in sparsifiers if isinstance(cls, type)]
    sources = [source_of(item) if isinstance(item, type) else item for item in [*plugins, *classes]]
    loaded = load_plugins(sources)
    names = [item.name if isinstance(item, type) else item for item in sparsifiers]  # type: ignore[attr-defined]
    asked = make_request(
        loaded,
        names,
        budget=None if budget is None else str(budget),
        seeds=seeds,
        dataset=dataset,
        model=model,
        preset=preset,
        meta_test=meta_test,
        sources=sources,
        overrides=overrides,
    )
    display = Lines(Console(stderr=True))
    return run_experiment(
        loaded,
        asked.experiments,
        results=results if results is not None else default_results(),
        cache=default_cache(),
        command=asked.command,
        sources=sources,
        display=display,
        progress=display.preparing,
        force=force,
    )
