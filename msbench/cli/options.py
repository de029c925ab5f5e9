"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from msbench.config import Experiment
    from msbench.plugins import Plugins
    from msbench.runs.plan import Command

Sparsifiers = Annotated[
    list[str],
    typer.Option(
        "-s", "--sparsifier", help="Name, 'name[param=value]', a comma-separated list, or 'all'. May be repeated."
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
Preset = Annotated[str | None, typer.Option(help="'quick' (minutes on two cores) or 'smoke' (seconds). [quick]")]
PluginSources = Annotated[
    list[str] | None, typer.Option("--plugin", help="A plugin: path/to/file.py or package.module.")
]
MetaTest = Annotated[
    str | None,
    typer.Option(
        help="Then fine-tune each sparse network, its mask held: 'same' tasks, 'add:TASK' (all trained) or 'only:TASK' "
        "(only its head trained)."
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


def compose_experiment(
    plugins: Plugins,
    sparsifiers: list[str],
    budget: str | None,
    dataset: str | None,
    model: str | None,
    seeds: int,
    seed: int | None,
    preset: str | None,
    meta_test: str | None,
    overrides: list[str] | None,
) -> Experiment:
    """The experiment that these flags and overrides ask for."""
    from msbench.config import experiment

    flags = {"dataset": dataset, "model": model, "preset": preset}
    return experiment(
        plugins,
        sparsifiers=sparsifiers,
        budget=budget,
        seeds=[seed] if seed is not None else range(seeds),
        choices={group: option for group, option in flags.items() if option is not None},
        overrides=overrides or [],
        meta_test=meta_test,
    )


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
