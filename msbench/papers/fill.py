"""Which records of a store fill a paper's table: one set of equal settings, one group of runs a row."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import yaml

from msbench.board.comparison.grouping import canonical
from msbench.board.reading.load import FINISHED
from msbench.board.statistics import Summary, summarize
from msbench.compose import config_folder
from msbench.papers.schema import Column, PaperTable, Row
from msbench.papers.values import constant, value
from msbench.records.record import Record

SEEDS = 3
"""How many seeds the command asks for when the store has none."""
DECIDED = ("-s", "--sparsifier", "--budget", "--seed", "--seeds", "--meta-test")
"""Flags that the rows decide."""


@dataclass(frozen=True)
class Wanted:
    """What of a store may fill the table; None leaves it open."""

    dataset: str | None = None
    model: str | None = None
    samples: int | None = None

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Whether a run's configuration is of this dataset, model and allowance."""
        data = {"name": config["data"]["name"], **config["data"]["params"]}
        return (
            all(data.get(key) == item for key, item in self._data.items())
            and self.model in (None, config["model"]["name"])
            and self.samples in (None, config["training"]["samples"])
        )

    @cached_property
    def _data(self) -> dict[str, Any]:
        """Class and parameters that `-d` stands for."""
        if self.dataset is None:
            return {}
        path = config_folder() / "dataset" / f"{self.dataset}.yaml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {"name": self.dataset}


@dataclass(frozen=True)
class Line:
    """A row of the table and its runs, one a seed.

    missing: seeds of the table that this row has no run of. command: makes them; empty where nothing is missing.
    """

    row: Row
    chosen: tuple[Record, ...]
    missing: tuple[int, ...]
    command: str

    @property
    def finished(self) -> tuple[Record, ...]:
        """The runs that have metrics."""
        return tuple(record for record in self.chosen if record.status in FINISHED and record.metrics)

    @property
    def troubles(self) -> list[str]:
        """What did not go well."""
        return [
            f"{self.row.name}: seed {record.seed}: {record.status}: {' '.join(record.reason.split())}"
            for record in self.chosen
            if record.status != "ok"
        ]


@dataclass(frozen=True)
class Settings:
    """Records that share dataset, model, training, scope and metric version; meta-tests are with their sources."""

    records: Mapping[str, Record]

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of one of the runs that no meta-test shortened."""
        return next(record.config for record in self.records.values() if record.meta_test is None)

    @property
    def title(self) -> str:
        """In a few words."""
        config = self.config
        return f"{config['data']['name']}, {config['model']['name']}, {config['training']['samples']} samples"


@dataclass(frozen=True)
class Filled:
    """The paper's table with ours beside it. `settings` is None where the store has nothing for it."""

    table: PaperTable
    lines: tuple[Line, ...]
    settings: Settings | None
    command: str
    """Makes all of the table's runs."""
    others: tuple[str, ...] = ()
    """Further sets that have runs for this table."""

    @property
    def used(self) -> list[Record]:
        """Every run that stands in a row, finished or not."""
        return [record for line in self.lines for record in line.chosen]

    @property
    def newest(self) -> str:
        """When the newest of them was made (ISO 8601)."""
        return max((record.created for record in self.used), default="")

    @property
    def complete(self) -> int:
        """How many rows have a result."""
        return sum(bool(line.finished) for line in self.lines)

    def ours(self, line: Line, column: Column) -> Summary | None:
        """Mean and spread over the row's seeds."""
        records = self.settings.records if self.settings else {}
        found = (value(column, record, records) for record in line.finished)
        return summarize(number for number in found if number is not None)

    def constant(self, column: Column) -> float | None:
        """The best constant predictor's value: what a network that learnt nothing would show."""
        found = (constant(column, record) for line in self.lines for record in line.finished)
        return next((number for number in found if number is not None), None)


def fill(table: PaperTable, records: Iterable[Record], unpruned: frozenset[str], wanted: Wanted) -> Filled:
    """The newest set that has every row, or else the one that has the most.

    unpruned: names of the sparsifiers that remove nothing: their runs have no budget.
    """
    known = {record.run_id: record for record in records}
    sets: dict[str, dict[str, Record]] = {}
    for run_id, record in known.items():
        source = known.get(record.meta_test.source) if record.meta_test is not None else record
        if source is not None and (key := _key(source)) is not None and wanted.fits(source.config):
            sets.setdefault(key, {})[run_id] = record
    filled = [_filled(table, Settings(found), unpruned, wanted) for found in sets.values()]
    filled = sorted((found for found in filled if found.used), key=lambda found: (found.complete, found.newest))
    if not filled:
        return _filled(table, None, unpruned, wanted)
    *rest, best = filled
    others = (f"{o.settings.title}: {o.complete} of {len(o.lines)} rows" for o in reversed(rest) if o.settings)
    return replace(best, others=tuple(others))


def _key(record: Record) -> str | None:
    """Equal for runs that may stand in one table."""
    config = record.config
    if not {"data", "model", "training", "budget", "tasks", "sparsifier"} <= config.keys():
        return None
    data = [config["data"]["name"], record.hashes.get("data")]
    scope = config["budget"]["scope"]
    return canonical([data, config["model"], config["training"], scope, record.metric_version])


def _filled(table: PaperTable, settings: Settings | None, unpruned: frozenset[str], wanted: Wanted) -> Filled:
    records = settings.records if settings else {}
    chosen = [
        _one_a_seed([record for record in records.values() if _fits(record, row, table, records, unpruned)])
        for row in table.rows
    ]
    seeds = sorted({record.seed for found in chosen for record in found})
    typed = _typed(settings, wanted, table)
    lines = []
    for row, found in zip(table.rows, chosen, strict=True):
        missing = tuple(sorted(set(seeds) - {record.seed for record in found}))
        command = shlex.join(_command(table, row, missing, typed)) if missing else ""
        lines.append(Line(row, tuple(found), missing, command))
    count = max(seeds) + 1 if seeds else SEEDS
    everything = shlex.join(["msbench", "run", "--preset", table.preset, "--seeds", str(count), *typed])
    return Filled(table, tuple(lines), settings, everything)


def _fits(record: Record, row: Row, table: PaperTable, records: Mapping[str, Record], unpruned: frozenset[str]) -> bool:
    """Whether a record is a run of this row: sparsifier as typed, tasks, meta-test and budget."""
    tested, source = record.meta_test, record
    if (tested is None) != (row.mode == "same"):
        return False
    if tested is not None:
        source = records[tested.source]
        if tested.mode != row.mode or tested.task != "+".join(row.new_tasks):
            return False
    config = source.config
    same = _squeezed(config["sparsifier"]["name"]) == _squeezed(row.sparsifier)
    return same and set(config["tasks"]) == set(row.tasks) and _in_budget(config, row, table, unpruned)


def _in_budget(config: Mapping[str, Any], row: Row, table: PaperTable, unpruned: frozenset[str]) -> bool:
    """The control and the reference run under a natural budget, whatever the others are held to."""
    budget, name = config["budget"], config["sparsifier"]["name"]
    if config["sparsifier"]["base"] in unpruned or (row.budget == "matched" and name == table.reference):
        return budget["mode"] in ("natural", row.budget)
    if isinstance(row.budget, float):
        return budget["mode"] == "share" and abs(budget["share"] - row.budget) < 1e-9
    return bool(budget["mode"] == row.budget)


def _one_a_seed(records: Sequence[Record]) -> list[Record]:
    """The newest run of each seed; of runs with other parameters under one name, those with the most seeds."""
    by_params: dict[str, dict[int, Record]] = {}
    for record in sorted(records, key=lambda record: record.created):
        params = re.sub(r"mask:[^\"]+", "mask", canonical(record.config["sparsifier"]["params"]))
        by_params.setdefault(params, {})[record.seed] = record
    groups = sorted(by_params.values(), key=lambda group: (len(group), max(r.created for r in group.values())))
    return [record for _, record in sorted(groups[-1].items())] if groups else []


def _squeezed(name: str) -> str:
    return name.replace(" ", "")


def _typed(settings: Settings | None, wanted: Wanted, table: PaperTable) -> list[str]:
    """Flags and overrides that the runs of this set were asked for with, without what the rows decide."""
    if settings is None:
        model = ["-m", wanted.model] if wanted.model else []
        samples = [f"training.samples={wanted.samples}"] if wanted.samples else []
        return ["-d", wanted.dataset or table.dataset, *model, *samples]
    newest = max(settings.records.values(), key=lambda record: record.created)
    words = iter(shlex.split(newest.command)[2:])
    flags: list[str] = []
    overrides: list[str] = []
    for word in words:
        if word == "--preset":
            overrides.append(f"preset={next(words, '')}")
        elif word.startswith("-"):
            following = next(words, "")
            flags += [] if word in DECIDED else [word, following]
        elif not re.match(r"(tasks|budget|sparsifier)[.=]", word):
            overrides.append(word)
    if not {"-d", "--dataset"} & set(flags):
        data = newest.config["data"]
        flags = ["-d", data["name"], *flags]
        if any(word.startswith("preset=") for word in overrides):  # a preset may have chosen the data's parameters
            overrides = [*(f"data.{key}={item}" for key, item in data["params"].items()), *overrides]
    return [*flags, *overrides]


def _command(table: PaperTable, row: Row, missing: Sequence[int], typed: Sequence[str]) -> list[str]:
    """One row's own command, its tasks and budget spelt out."""
    seeds = ["--seed", str(missing[0])] if len(missing) == 1 else ["--seeds", str(max(missing) + 1)]
    words = ["msbench", "run", "-s", row.sparsifier, "--budget", str(row.budget), *seeds]
    words += [] if row.mode == "same" else ["--meta-test", row.meta_test]
    scope = [] if table.scope == "backbone" else [f"budget.scope={table.scope}"]
    reference = [f"budget.reference={table.reference}"] if row.budget == "matched" else []
    return [*words, *typed, f"tasks=[{','.join(row.tasks)}]", *scope, *reference]
