"""`msbench run`: run what is not in the store, print the table, build the leaderboard."""

from __future__ import annotations

import time

import typer

from msbench.cli import options as o


def run(
    sparsifier: o.Sparsifiers = None,
    overrides: o.Overrides = None,
    budget: o.Budget = None,
    dataset: o.DatasetName = None,
    model: o.ModelName = None,
    seeds: o.Seeds = 1,
    seed: o.Seed = None,
    preset: o.Preset = None,
    meta_test: o.MetaTest = None,
    plugin: o.PluginSources = None,
    results: o.Results = None,
    jobs: int | None = typer.Option(None, help="Runs at a time. [one a core, or one a GPU]", min=1),
    timeout: float | None = typer.Option(None, help="Seconds that one run may take.", min=0),
    force: bool = typer.Option(
        False, "--force", help="Run again what the store has; the old result stands until the new one is finished."
    ),
    explain: bool = typer.Option(False, "--explain", help="Say what each run would do and stop."),
) -> None:
    """Run sparsifiers under one budget, measure them and build the leaderboard.

    With --preset papers/NAME: the runs of a published table, and at the end the table with ours beside it.

    Example: msbench run -s meta_sparsity -s one_shot_magnitude --budget matched --seeds 3
    """
    from msbench.board.table.terminal import render_text
    from msbench.cli.display import make_console, make_display
    from msbench.cli.explain import explain_plan
    from msbench.papers.render import to_text
    from msbench.plugins import load_plugins
    from msbench.runs.plan import make_plan
    from msbench.runs.suite import run_experiment
    from msbench.store.store import Store, default_cache

    started = time.monotonic()
    engine = [f"engine.{key}={value}" for key, value in (("jobs", jobs), ("timeout", timeout)) if value is not None]
    plugins = load_plugins(plugin or [])
    asked = o.compose_request(
        plugins, sparsifier, budget, dataset, model, seeds, seed, preset, meta_test, plugin, overrides, engine
    )
    console = make_console()
    if explain:
        store = Store(o.results_folder(results))
        explain_plan(console, plugins, make_plan(plugins, asked.experiments, store, default_cache(), asked.command))
        return
    try:
        with make_display(console) as display:
            outcome = run_experiment(
                plugins,
                asked.experiments,
                results=o.results_folder(results),
                cache=default_cache(),
                command=asked.command,
                sources=plugin or [],
                display=display,
                progress=display.preparing,
                force=force,
            )
    except KeyboardInterrupt:
        typer.echo(
            "msbench: interrupted; what is finished or trained is kept, the same command goes on from there", err=True
        )
        raise typer.Exit(130) from None
    console.print(render_text(outcome.records.values()))
    if asked.table is not None:
        console.print(to_text(o.fill_table(plugins, asked.table, outcome.records.values()), console.width))
    cached = sum(planned.cached for planned in outcome.plan)
    if cached == len(outcome.plan):
        console.print(f"Nothing to run: all {cached} runs are in the store.")
    else:
        console.print(f"Ran {len(outcome.plan) - cached}, found {cached} in the store.")
    console.print(f"{time.monotonic() - started:.0f} s. Leaderboard: {outcome.leaderboard.resolve()}", soft_wrap=True)
    if not outcome.good:
        raise typer.Exit(1)
