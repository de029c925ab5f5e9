"""From an experiment to finished runs and a leaderboard: what `msbench run` and `msbench.run` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msbench.board.library.sheets import SHEETS
from msbench.config import Experiment
from msbench.data.dataset import Progress
from msbench.plugins import Plugins
from msbench.records.record import Record
from msbench.runs.build import build_dataset
from msbench.runs.datasheet import leave_sheet
from msbench.runs.engines.local import LocalEngine
from msbench.runs.engines.making import Display, Maker
from msbench.runs.engines.ray_cluster import ray_package
from msbench.runs.engines.ray_engine import RayEngine
from msbench.runs.execute import resolve_device
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.runs.trouble import ends_are_interrupts, readable_errors
from msbench.store.locks import Locks
from msbench.store.store import Store


@dataclass(frozen=True)
class Outcome:
    """A finished command: its plan, a record for every run of it, and where the leaderboard is."""

    plan: Sequence[PlannedRun]
    records: dict[str, Record]
    leaderboard: Path

    @property
    def good(self) -> bool:
        """Whether every run ended well."""
        return all(record.status == "ok" for record in self.records.values())


def run_experiment(
    plugins: Plugins,
    experiments: Sequence[Experiment],
    *,
    results: Path,
    cache: Path,
    command: Command,
    sources: Sequence[str],
    display: Display,
    progress: Progress,
    force: bool = False,
) -> Outcome:
    """Plan, prepare the data, run what is missing, build the pages. The engine is that of the first experiment.

    force: make again what was asked for, where the store has it; the old result stands until the new one is there.
    Several commands may use one store at a time. Raises UserError when the store cannot be written, and
    KeyboardInterrupt when the process is told to end.
    """
    from msbench.board.site.build import build
    from msbench.leaderboard import make_library

    store = Store(results.resolve())
    engine = experiments[0].engine
    if engine.name == "local":
        resolve_device(engine.device)
    else:
        ray_package()
    with ends_are_interrupts(), readable_errors(results):
        store.open()
        for data in {str(experiment.data): experiment.data for experiment in experiments}.values():
            dataset = build_dataset(plugins, data)
            dataset.prepare(cache, progress)
            leave_sheet(dataset, cache, store.root / SHEETS)
        plan = make_plan(plugins, experiments, store, cache, command, force=force)
        with Locks(store.root) as locks:
            runs_with = LocalEngine if engine.name == "local" else RayEngine
            records = runs_with(Maker(store, cache, plugins, sources, engine, display, locks)).run(plan)
            library = make_library(plugins, store.root)
            with locks.held("leaderboard", lambda owner: display.waiting("leaderboard", str(owner))):
                return Outcome(plan, records, build(store.runs, store.leaderboard, library))
