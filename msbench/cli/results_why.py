"""`msbench results why`: what made a hit or a miss."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.data.dataset import Dataset
    from msbench.records.record import Record
    from msbench.runs.identity.why import Reason
    from msbench.runs.plan import PlannedRun


def why(
    words: list[str] | None = typer.Argument(None, metavar="[RUN | KEY=VALUE...]", help="A run, or settings with -s."),
    sparsifier: o.Sparsifiers = None,
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
    """Say why the store has a run, or which part of what decides its numbers has changed since.

    RUN: would its own command find it today? With the arguments of `msbench run` instead: each run that it needs. What
    decides: configuration, sources, package versions, and the data. Exit code 1 where something would run.

    Example: msbench results why random-rooms
    """
    from msbench.errors import UserError
    from msbench.store.store import Store

    store, given = Store(o.results_folder(results)), words or []
    if sparsifier or preset:
        flags: dict[str, Any] = {
            "sparsifier": sparsifier,
            "budget": budget,
            "dataset": dataset,
            "model": model,
            "seeds": seeds,
            "seed": seed,
            "preset": preset,
            "meta_test": meta_test,
            "plugin": plugin,
            "overrides": given,
        }
        reasons = _reasons(store, flags)
    elif len(given) == 1:
        reasons = [_of_run(store, given[0], plugin or [])]
    else:
        raise UserError("results why: name one run of the store, or what `msbench run` would be given, with -s")
    for reason in reasons:
        typer.echo("\n".join(reason.lines()))
    if not all(reason.hit for reason in reasons):
        raise typer.Exit(1)


def _reasons(store: Any, flags: dict[str, Any]) -> list[Reason]:
    from msbench.runs.identity.why import explain

    return [explain(store, planned, dataset) for planned, dataset in _planned(store, flags)]


def _of_run(store: Any, run: str, plugins: list[str]) -> Reason:
    """A stored run against what its own command would run today."""
    from msbench.errors import UserError
    from msbench.runs.identity.why import compare

    run_id = store.resolve(run)
    record = store.find(run_id)
    flags = typed(record.command)
    untold = [source for source in flags["plugin"] or () if source not in plugins]
    if untold:  # code that a record names is not run for that alone
        raise UserError(
            f"{run_id}: its command loads plugins; if you trust them add --plugin {' --plugin '.join(untold)}"
        )
    flags["plugin"] = plugins
    for planned, dataset in _planned(store, flags):
        if _same(planned, record):
            return compare(store, planned, run_id, dataset)
    raise UserError(f"{run_id}: its command no longer makes a run of {record.sparsifier.name}: {record.command}")


def _same(planned: PlannedRun, record: Record) -> bool:
    """Whether a planned run is the one that a record's command was written for."""
    then, now = record.meta_test, planned.config.meta_test
    same_test = (then is None) == (now is None) and (then is None or now is None or then.mode == now.mode)
    # a mask's criterion is planned by the run that it names, so labels agree where parameters need not
    return same_test and planned.config.sparsifier.name == record.sparsifier.name and planned.config.seed == record.seed


def typed(command: str) -> dict[str, Any]:
    """The arguments of a `msbench run …` line, as that verb takes them; UserError where it is no such line."""
    from typer.main import get_command

    from msbench.cli.run import run as verb
    from msbench.errors import UserError

    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:2] != ["msbench", "run"] or {"-h", "--help"} & {*words}:
        raise UserError(f"not a command that makes a run: {command[:200]!r}")
    wrong: Any = typer.BadParameter.__mro__[2]  # what all usage errors of the parser are, click's or typer's own copy
    alone = typer.Typer(add_completion=False)
    alone.command("run")(verb)
    try:
        return get_command(alone).make_context("run", words[2:]).params
    except wrong as error:
        raise UserError(f"not a command that makes a run: {command[:200]!r}") from error


def _planned(store: Any, flags: dict[str, Any]) -> list[tuple[PlannedRun, Dataset]]:
    """The runs of a request, each with its dataset."""
    from msbench.plugins import load_plugins
    from msbench.request import make_request
    from msbench.runs.build import build_dataset
    from msbench.runs.plan import make_plan
    from msbench.store.store import default_cache

    sources, seed = list(flags["plugin"] or []), flags["seed"]
    plugins = load_plugins(sources)
    asked = make_request(
        plugins,
        flags["sparsifier"] or [],
        budget=flags["budget"],
        seeds=[seed] if seed is not None else range(flags["seeds"]),
        dataset=flags["dataset"],
        model=flags["model"],
        preset=flags["preset"],
        meta_test=flags["meta_test"],
        sources=sources,
        overrides=flags["overrides"] or [],
    )
    plan = make_plan(plugins, asked.experiments, store, default_cache(), asked.command)
    return [(run, build_dataset(plugins, run.config.data)) for run in plan]
