"""From an experiment to finished runs and a leaderboard: what `msbench run` and `msbench.run` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from msbench.config import Experiment
from msbench.data.dataset import Progress
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.runs.build import build_dataset
from msbench.runs.engine import Display, LocalEngine
from msbench.runs.execute import resolve_device
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.runs.record import Record
from msbench.runs.store import Store


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
) -> Outcome:
    """Plan, prepare the data, run what is missing, build the pages. The engine is that of the first experiment."""
    from msbench.board.build import build

    store = Store(results.resolve())
    store.open()
    engine_config = experiments[0].engine
    resolve_device(engine_config.device)
    lock = FileLock(results / "staging" / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"--results {results}: another msbench run is using it; wait, or name another folder") from None
    with lock:
        for data in {str(experiment.data): experiment.data for experiment in experiments}.values():
            build_dataset(plugins, data).prepare(cache, progress)
        plan = make_plan(plugins, experiments, store, cache, command)
        engine = LocalEngine(store, cache, plugins, sources, engine_config, display)
        records = engine.run(plan)
        return Outcome(plan, records, build(store.runs, store.leaderboard))
