"""What a user asks for, from the command line or from Python: experiments, and the command of each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msbench.config import Experiment
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.papers.expand import expand, table_command
from msbench.papers.schema import PREFIX, PaperTable, is_paper, load_table, names
from msbench.plugins import Plugins
from msbench.runs.plan import Command

WHERE = ("engine", "engine.address", "engine.retries")
"""Overrides that only say where to run, which a run's own command does not repeat."""


@dataclass(frozen=True)
class Request:
    """What was asked for. `table` is the paper's table, where one was."""

    experiments: list[Experiment]
    command: Command
    table: PaperTable | None = None


def make_request(
    plugins: Plugins,
    sparsifiers: Sequence[str],
    *,
    budget: str | None,
    seeds: Sequence[int],
    dataset: str | None,
    model: str | None,
    preset: str | None,
    meta_test: str | None,
    sources: Sequence[str],
    overrides: Sequence[str],
    engine: Sequence[str] = (),
) -> Request:
    """The experiments of these flags and overrides, checked. Raises UserError.

    sources: of plugins, as `--plugin` takes them. engine: overrides that only say how to run, which a run's own
    command need not repeat.
    """
    told = [override for override in overrides if override.partition("=")[0] not in WHERE]
    if is_paper(preset):
        assert preset is not None
        _check_alone(preset, sparsifiers, meta_test)
        table = load_table(preset).with_budget(budget)
        experiments = expand(plugins, table, seeds=seeds, dataset=dataset, model=model, overrides=[*overrides, *engine])
        of_rows = table_command(table, experiments, dataset=dataset, model=model, plugins=sources, overrides=told)
        return Request(experiments, of_rows, table)
    if preset and f"{PREFIX}{preset}" in names():
        raise UserError(f"unknown preset {preset!r}: did you mean '{PREFIX}{preset}'?")
    if not sparsifiers:
        raise UserError(
            f"-s is missing: name a sparsifier, 'all', or a paper's table, for example --preset {names()[0]}"
        )
    flags = {"dataset": dataset, "model": model, "preset": preset}
    asked = experiment(
        plugins,
        sparsifiers=sparsifiers,
        budget=budget,
        seeds=seeds,
        choices={group: option for group, option in flags.items() if option is not None},
        overrides=[*overrides, *engine],
        meta_test=meta_test,
    )
    return Request([asked], _command(dataset, model, preset, meta_test, sources, told))


def _check_alone(preset: str, sparsifiers: Sequence[str], meta_test: str | None) -> None:
    for flag, given in (("-s", sparsifiers), ("--meta-test", meta_test)):
        if given:
            raise UserError(f"--preset {preset} names its own runs: leave {flag} out, or use another preset")


def _command(
    dataset: str | None,
    model: str | None,
    preset: str | None,
    meta_test: str | None,
    sources: Sequence[str],
    overrides: Sequence[str],
) -> Command:
    """What was typed, for the command that reproduces one run."""
    flags: list[str] = []
    for option, value in (("--preset", preset), ("-d", dataset), ("-m", model), ("--meta-test", meta_test)):
        if value is not None:
            flags += [option, value]
    for source in sources:
        flags += ["--plugin", source]
    return Command(tuple(flags), tuple(overrides))
