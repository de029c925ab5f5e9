"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from msbench.config import Experiment
    from msbench.papers.fill import Filled
    from msbench.papers.schema import PaperTable
    from msbench.plugins import Plugins
    from msbench.runs.plan import Command
    from msbench.runs.record import Record

Sparsifiers = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--sparsifier",
        help="Name, 'name[param=value]', a comma-separated list, or 'all'. May be repeated. "
        "Left out with --preset papers/NAME.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(help="'matched' (to the reference's sparsity), a share such as 0.85, or 'natural'. [matched]"),
]
DatasetName = Annotated[str | None, typer.Option("-d", "--dataset", help="Dataset. [rooms]")]
ModelName = Annotated[str | None, typer.Option("-m", "--model", help="Model of configs/model. [quick]")]
Seeds = Annotated[int, typer.Option(help="Number of seeds: 0, 1, … N-1.", min=1)]
Seed = Annotated[int | None, typer.Option(help="One seed, instead of --seeds.", min=0)]
Preset = Annotated[
    str | None,
    typer.Option(
        help="'quick' (minutes on two cores), 'smoke' (seconds), or a paper's table such as 'papers/meta_sparsity_t5', "
        "which names its sparsifiers itself. [quick]"
    ),
]
PluginSources = Annotated[
    list[str] | None, typer.Option("--plugin", help="A plugin: path/to/file.py or package.module.")
]
MetaTest = Annotated[
    str | None,
    typer.Option(
        help="Then fine-tune each sparse network, its mask held: 'same' tasks, 'add:TASK' (all trained) or 'only:TASK' "
        "(only its head trained); several new tasks are joined by '+'."
    ),
]
Results = Annotated[Path | None, typer.Option(help="The store. [$MSBENCH_RESULTS or ./results]")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example training.samples=4000.")
]


def results_folder(results: Path | None) -> Path:
    """`--results`, or the default."""
    from msbench.runs.store import default_results

    return results if results is not None else default_results()


@dataclass(frozen=True)
class Request:
    """What `run` and `plan` were asked for. `table` is the paper's table, where one was."""

    experiments: list[Experiment]
    command: Command
    table: PaperTable | None = None


def compose_request(
    plugins: Plugins,
    sparsifiers: list[str] | None,
    budget: str | None,
    dataset: str | None,
    model: str | None,
    seeds: int,
    seed: int | None,
    preset: str | None,
    meta_test: str | None,
    sources: list[str] | None,
    overrides: list[str] | None,
    engine: Iterable[str] = (),
) -> Request:
    """The experiments that these flags and overrides ask for.

    engine: overrides that only say how to run, which a run's own command need not repeat.
    """
    from msbench.errors import UserError
    from msbench.experiment import experiment
    from msbench.papers.schema import PREFIX, is_paper, names

    numbers = [seed] if seed is not None else range(seeds)
    typed = overrides or []
    if is_paper(preset):
        assert preset is not None
        _check_alone(preset, sparsifiers, meta_test)
        return _paper_request(plugins, preset, budget, dataset, model, numbers, sources or [], typed, engine)
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
        seeds=numbers,
        choices={group: option for group, option in flags.items() if option is not None},
        overrides=[*typed, *engine],
        meta_test=meta_test,
    )
    return Request([asked], typed_command(dataset, model, preset, meta_test, sources, overrides))


def _check_alone(preset: str, sparsifiers: list[str] | None, meta_test: str | None) -> None:
    from msbench.errors import UserError

    for flag, given in (("-s", sparsifiers), ("--meta-test", meta_test)):
        if given:
            raise UserError(f"--preset {preset} names its own runs: leave {flag} out, or use another preset")


def _paper_request(
    plugins: Plugins,
    preset: str,
    budget: str | None,
    dataset: str | None,
    model: str | None,
    seeds: Iterable[int],
    sources: list[str],
    overrides: list[str],
    engine: Iterable[str],
) -> Request:
    from msbench.papers.expand import expand, table_command
    from msbench.papers.schema import load_table

    table = load_table(preset).with_budget(budget)
    experiments = expand(
        plugins, table, seeds=list(seeds), dataset=dataset, model=model, overrides=[*overrides, *engine]
    )
    command = table_command(table, experiments, dataset=dataset, model=model, plugins=sources, overrides=overrides)
    return Request(experiments, command, table)


def fill_table(
    plugins: Plugins,
    table: PaperTable,
    records: Iterable[Record],
    dataset: str | None = None,
    model: str | None = None,
    samples: int | None = None,
) -> Filled:
    """A paper's table with the runs that fit it."""
    from msbench.papers.fill import Wanted, fill

    classes = plugins.classes("sparsifier").values()
    unpruned = frozenset(cls.name for cls in classes if not cls.sparse)  # type: ignore[attr-defined]
    return fill(table, records, unpruned, Wanted(dataset, model, samples))


def typed_command(
    dataset: str | None,
    model: str | None,
    preset: str | None,
    meta_test: str | None,
    plugins: list[str] | None,
    overrides: list[str] | None,
) -> Command:
    """What was typed, for the command that reproduces one run."""
    from msbench.runs.plan import Command

    flags: list[str] = []
    for option, value in (("--preset", preset), ("-d", dataset), ("-m", model), ("--meta-test", meta_test)):
        if value is not None:
            flags += [option, value]
    for source in plugins or []:
        flags += ["--plugin", source]
    return Command(tuple(flags), tuple(overrides or ()))
