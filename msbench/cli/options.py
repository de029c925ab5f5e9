"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from msbench.papers.fill import Filled
    from msbench.papers.schema import PaperTable
    from msbench.plugins import Plugins
    from msbench.records.record import Record
    from msbench.request import Request

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
Run = Annotated[str, typer.Argument(help="A run's id, or any part of it that is unique (msbench results list).")]
Dataset = Annotated[str, typer.Argument(help="A dataset's name (msbench data list).")]


def results_folder(results: Path | None) -> Path:
    """`--results`, or the default."""
    from msbench.store.store import default_results

    return results if results is not None else default_results()


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
    engine: list[str] | None = None,
) -> Request:
    """The experiments that these flags and overrides ask for.

    engine: overrides that only say how to run, which a run's own command need not repeat.
    """
    from msbench.request import make_request

    return make_request(
        plugins,
        sparsifiers or [],
        budget=budget,
        seeds=[seed] if seed is not None else range(seeds),
        dataset=dataset,
        model=model,
        preset=preset,
        meta_test=meta_test,
        sources=sources or [],
        overrides=overrides or [],
        engine=engine or [],
    )


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
