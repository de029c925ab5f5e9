"""From a paper's table to the runs that fill it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msbench.compose import parse_override
from msbench.config import Experiment, RunConfig
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.papers.schema import PaperTable
from msbench.plugins import Plugins
from msbench.runs.plan import Command

BASE = "quick"
"""The preset whose model and training allowance the runs get, unless `-m` and overrides say otherwise."""
DECIDED = {"tasks": "its rows name them", "meta_test": "its rows name them", "budget": "--budget replaces it"}
"""Keys that a paper's preset decides, and why they cannot be overridden."""


def expand(
    plugins: Plugins,
    table: PaperTable,
    *,
    seeds: Sequence[int],
    dataset: str | None = None,
    model: str | None = None,
    overrides: Sequence[str] = (),
) -> list[Experiment]:
    """One experiment for the rows that share tasks, budget and meta-test. Runs that several need are planned once."""
    for key in (parse_override(text)[0] for text in overrides):
        if (name := key.partition(".")[0]) in DECIDED and key in (name, "meta_test.mode", "meta_test.task"):
            raise UserError(f"{key}=…: not with --preset {table.preset}: {DECIDED[name]}")
    groups: dict[tuple[tuple[str, ...], str, str], list[str]] = {}
    for row in table.rows:
        groups.setdefault((row.tasks, str(row.budget), row.meta_test), []).append(row.sparsifier)
    choices = {"preset": BASE, "dataset": dataset or table.dataset, **({"model": model} if model else {})}
    return [
        experiment(
            plugins,
            sparsifiers=dict.fromkeys(sparsifiers),
            budget=budget,
            seeds=seeds,
            choices=choices,
            overrides=[f"tasks=[{','.join(tasks)}]", *_budget_overrides(table, budget), *overrides],
            meta_test=None if meta_test == "same" else meta_test,
        )
        for (tasks, budget, meta_test), sparsifiers in groups.items()
    ]


def _budget_overrides(table: PaperTable, budget: str) -> list[str]:
    """The scope where it is not the default, and the reference where one is needed."""
    scope = [] if table.scope == "backbone" else [f"budget.scope={table.scope}"]
    return [*scope, f"budget.reference={table.reference}"] if budget == "matched" else scope


@dataclass(frozen=True)
class TableCommand(Command):
    """The command of each run alone: what was typed, with the tasks, scope and meta-test of the run's own row."""

    table: PaperTable
    experiments: tuple[Experiment, ...]

    def of(self, config: RunConfig, matched: bool) -> str:
        """The command that makes one run."""
        tasks, meta = config.tasks, config.meta_test
        flags = self.flags
        if meta is not None:
            tasks = self._source_tasks(config)
            flags += ("--meta-test", f"{meta.mode}:{meta.task}" if meta.task else meta.mode)
        own = [f"tasks=[{','.join(tasks)}]", *_budget_overrides(self.table, "matched" if matched else "")]
        return Command(flags, (*own, *self.overrides)).of(config, matched)

    def _source_tasks(self, config: RunConfig) -> tuple[str, ...]:
        """The tasks that a meta-test's source was trained on."""
        meta = config.meta_test
        assert meta is not None
        asked = (meta.mode, meta.task)
        fitting = [e for e in self.experiments if e.meta_test and (e.meta_test.mode, e.meta_test.task) == asked]
        exact = [e for e in fitting if (*e.tasks, *meta.new_tasks) == config.tasks]
        return (exact or fitting)[0].tasks


def table_command(
    table: PaperTable,
    experiments: Sequence[Experiment],
    *,
    dataset: str | None,
    model: str | None,
    plugins: Sequence[str],
    overrides: Sequence[str],
) -> TableCommand:
    """What was typed, for the commands that the records keep."""
    flags = ["-d", dataset or table.dataset, *(["-m", model] if model else [])]
    flags += [word for source in plugins for word in ("--plugin", source)]
    return TableCommand(tuple(flags), tuple(overrides), table, tuple(experiments))
