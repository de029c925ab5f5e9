"""`msbench.run`: the command line's main job, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from msbench.cli.display import Lines
from msbench.experiment import experiment
from msbench.plugins import load_plugins, source_of
from msbench.runs.plan import Command
from msbench.runs.store import default_cache, default_results
from msbench.runs.suite import Outcome, run_experiment


def run(
    sparsifiers: Sequence[str | type],
    *,
    budget: str | float = "matched",
    seeds: Sequence[int] = (0,),
    dataset: str | None = None,
    model: str | None = None,
    preset: str | None = None,
    meta_test: str | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | type] = (),
    results: Path | None = None,
) -> Outcome:
    """Run sparsifiers under one budget and build the leaderboard; what is in the store is not run again.

    sparsifiers: names as `-s` takes them, or classes defined at the top of a file. plugins: further classes, files
    or modules that hold datasets, backbones and so on. overrides: `key=value`. Raises UserError on bad input.
    """
    classes = [cls for cls in sparsifiers if isinstance(cls, type)]
    sources = [source_of(item) if isinstance(item, type) else item for item in [*plugins, *classes]]
    loaded = load_plugins(sources)
    names = [item.name if isinstance(item, type) else item for item in sparsifiers]  # type: ignore[attr-defined]
    flags = {"dataset": dataset, "model": model, "preset": preset}
    chosen = {group: option for group, option in flags.items() if option is not None}
    asked = experiment(
        loaded,
        sparsifiers=names,
        budget=str(budget),
        seeds=seeds,
        choices=chosen,
        overrides=overrides,
        meta_test=meta_test,
    )
    display = Lines(Console(stderr=True))
    given = [
        word
        for option, value in (("--preset", preset), ("-d", dataset), ("-m", model), ("--meta-test", meta_test))
        if value
        for word in (option, value)
    ]
    given += [word for source in sources for word in ("--plugin", source)]
    return run_experiment(
        loaded,
        [asked],
        results=results if results is not None else default_results(),
        cache=default_cache(),
        command=Command(tuple(given), tuple(overrides)),
        sources=sources,
        display=display,
        progress=display.preparing,
    )
