"""`msbench plan`: what a run with the same arguments would do."""

from __future__ import annotations

from msbench.cli import options as o


def plan(
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
) -> None:
    """Show what would run, what is in the store, and about how long it takes and how much disk it needs.

    The store's runs of the same data, network and tasks tell; where there are none, a few training steps are timed.

    Example: msbench plan -s all --seeds 3
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.plugins import load_plugins
    from msbench.runs.engines.sharing import sharing
    from msbench.runs.estimate import estimate
    from msbench.runs.plan import make_plan
    from msbench.store.store import Store, default_cache

    plugins = load_plugins(plugin or [])
    request = o.compose_request(
        plugins, sparsifier, budget, dataset, model, seeds, seed, preset, meta_test, plugin, overrides
    )
    store = Store(o.results_folder(results))
    planned = make_plan(plugins, request.experiments, store, default_cache(), request.command)
    table = Table("run", "budget", "waits for", "state", box=None, header_style="bold")
    for item in planned:
        asked = item.config.budget
        level = f"{asked.share:g}" if asked.share is not None else asked.mode
        table.add_row(item.run_id, level, item.reference or "", "in the store" if item.cached else "to run")
    console = make_console()
    console.print(table)
    missing = sum(not item.cached for item in planned)
    state = f"{missing} to run, {len(planned) - missing} in the store."
    cost = estimate(planned, store, plugins, default_cache())
    console.print(" ".join([state, cost, sharing(plugins, planned)]).strip())
