"""What is measured in a quiet process, one at a time on a machine: latency tables, and every run that has trained."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msbench.config import RunConfig
from msbench.measure.latency import allocator_environment
from msbench.records.record import Record
from msbench.runs.engines.making import Maker
from msbench.runs.engines.processes import Ended
from msbench.runs.engines.worker import unmeasured
from msbench.runs.plan import PlannedRun
from msbench.store.durable import write_json
from msbench.store.failures import last_line
from msbench.store.store import LOG


@dataclass(frozen=True)
class Measuring:
    """The measurements of one command, with what its `maker` has."""

    maker: Maker

    def tables(self, waiting: Sequence[PlannedRun]) -> None:
        """The latency tables that budgets count by, while nothing trains; a run whose table is missing makes it."""
        kinds: dict[str, RunConfig] = {}
        for run in waiting:
            if run.config.budget.unit == "latency":
                kinds.setdefault(run.config.model_dump_json(include={"data", "tasks", "model", "engine"}), run.config)
        for config in kinds.values():
            with self._quiet() as folder:
                payload = {"config": config.model_dump(mode="json"), "plugins": list(self.maker.plugins_from)}
                write_json({**payload, "cache": str(self.maker.cache)}, folder / "table.json")
                arguments = ["table", str(folder / "table.json")]
                self.maker.processes.run("table", arguments, folder / LOG, extra=allocator_environment())

    def runs(self, trained: Sequence[PlannedRun]) -> dict[str, Record]:
        """The final records of runs that are trained, dense controls first; none of a run that another has taken.

        When the process dies, the run that it was measuring says so, and another process measures the rest.
        """
        maker = self.maker
        ids = [run.run_id for run in sorted(trained, key=lambda run: run.dense is not None)]
        found: dict[str, Record] = {}
        left = list(ids)
        while left := [run_id for run_id in left if maker.locks.holds(run_id)]:
            with self._quiet() as folder:
                ended = self._process(left, ids, folder)
                maker.stop_with_command()
                maker.still_there()
                for run_id in list(left):
                    if (record := maker.since(run_id)) is not None:
                        found[run_id] = record
                        left.remove(run_id)
                        maker.locks.release(run_id)
                if left:
                    self._died(left.pop(0), ended, folder / LOG, found)
        return found

    def _process(self, left: Sequence[str], ids: Sequence[str], folder: Path) -> Ended:
        def hear(event: Mapping[str, Any]) -> None:
            self.maker.display.measuring(ids.index(event["measured"]) + 1, len(ids))

        self.maker.display.measuring(ids.index(left[0]), len(ids))
        arguments = ["measure", str(self.maker.store.root), *left]
        return self.maker.processes.run("measure", arguments, folder / LOG, hear, allocator_environment())

    def _died(self, run_id: str, ended: Ended, log: Path, found: dict[str, Record]) -> None:
        """The process ended with this run: its result stays, unless another command has it or it was removed."""
        maker = self.maker
        record = maker.store.trained(run_id)
        if maker.locks.holds(run_id) and record is not None:
            maker.store.recover(run_id)
            if maker.since(run_id) is None:
                said = f": {last_line(log)}" if ended.code > 0 and log.stat().st_size else ""
                unmeasured(record, f"its process {ended}{said}")
                maker.store.commit(run_id, record)
            found[run_id] = maker.since(run_id) or record
        maker.locks.release(run_id)

    @contextmanager
    def _quiet(self) -> Iterator[Path]:
        """A folder for what a measurement needs, while no other msbench of this machine measures."""
        name, display = f"measuring-{self.maker.locks.owner.host}", self.maker.display
        lock = self.maker.locks.held(name, lambda owner: display.waiting("measuring", str(owner)))
        with lock, tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
