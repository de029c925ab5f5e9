"""The local engine: one process a run, several at a time, then one quiet process that measures them all.

Other msbench commands may use the store at the same time. A run belongs to the command that holds its lock; the
others take its record when it is there, and make the run themselves when its owner dies. Nobody waits for another's
measurement before the own runs are trained and measured, so two commands never wait for each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from msbench.records.record import Record
from msbench.runs.describe import Job
from msbench.runs.engines.devices import runs_at_a_time
from msbench.runs.engines.making import Made, Maker
from msbench.runs.engines.measuring import Measuring
from msbench.runs.engines.sharing import kept_steps
from msbench.runs.plan import PlannedRun, order
from msbench.store.locks import WAIT
from msbench.store.owner import Owner

Making = Future[Made | Owner]


@dataclass
class LocalEngine:
    """Runs a plan on this machine, with a `maker` for its runs."""

    maker: Maker
    _records: dict[str, Record] = field(default_factory=dict, init=False)
    """Of runs that are in the store."""
    _trained: dict[str, Record] = field(default_factory=dict, init=False)
    """Of runs that have trained, here or elsewhere, and are to be measured by who trained them."""
    _elsewhere: dict[str, PlannedRun] = field(default_factory=dict, init=False)
    """Runs that others make, and have not yet trained."""

    def run(self, plan: Sequence[PlannedRun]) -> dict[str, Record]:
        """Run what is not in the store; a record for every planned run. Interrupts leave the store whole."""
        maker, measuring = self.maker, Measuring(self.maker)
        maker.before = {run.run_id: maker.store.stamp(run.run_id) for run in plan}
        for run in plan:
            if not run.again and (record := maker.store.reusable(run.run_id)) is not None:
                self._records[run.run_id] = record
        waiting = [run for run in order(plan) if run.run_id not in self._records]
        maker.keep = kept_steps(maker.plugins, waiting)
        try:
            measuring.tables(waiting)
            while waiting:
                self._train_all(waiting)
                ours = [run for run in waiting if maker.locks.holds(run.run_id)]
                self._records |= measuring.runs(ours)
                waiting = self._await(run for run in waiting if run.run_id not in self._records)
        except BaseException:
            maker.processes.stop_all()
            raise
        return self._records

    def _train_all(self, runs: Sequence[PlannedRun]) -> None:
        """Start each run as soon as what it waits for is there, so many at a time, until all are trained."""
        waiting, running = list(runs), dict[Making, PlannedRun]()
        jobs = runs_at_a_time(self.maker.config, len(self.maker.gpus), os.cpu_count() or 1)
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            try:
                while waiting or running or self._elsewhere:
                    self._start_ready(pool, waiting, running)
                    for future in _ended(running, WAIT if self._elsewhere else None):
                        self._take(running.pop(future), future.result())
                    waiting += self._look_elsewhere()
            except BaseException:
                self.maker.processes.stop_all()
                raise

    def _start_ready(
        self, pool: ThreadPoolExecutor, waiting: list[PlannedRun], running: dict[Making, PlannedRun]
    ) -> None:
        ended = {**self._records, **self._trained}
        for run in [run for run in waiting if all(needed in ended for needed in run.depends)]:
            waiting.remove(run)
            running[pool.submit(self.maker.make, run, _job(run, ended), unusable(run, ended))] = run

    def _take(self, run: PlannedRun, made: Made | Owner) -> None:
        if isinstance(made, Owner):
            self._elsewhere[run.run_id] = run
            self.maker.display.waiting(run.run_id, str(made))
            return
        (self._records if made.final else self._trained)[run.run_id] = made.record
        self.maker.display.ended(run.run_id, made.record)

    def _look_elsewhere(self) -> list[PlannedRun]:
        """Note what others have trained; returned is what nobody makes any more."""
        free = []
        for run_id in list(self._elsewhere):
            if self.maker.locks.holder(run_id) is None:
                free.append(self._elsewhere.pop(run_id))
            elif (record := self.maker.store.trained(run_id)) is not None:
                self._trained[run_id] = record
                del self._elsewhere[run_id]
        return free

    def _await(self, runs: Iterable[PlannedRun]) -> list[PlannedRun]:
        """Take the records of runs that others measure; returned is what nobody makes any more."""
        theirs, free = list(runs), list[PlannedRun]()
        while theirs:
            for run in list(theirs):
                if self.maker.locks.holder(run.run_id) is None:
                    theirs.remove(run)
                    record = self.maker.since(run.run_id)
                    if record is None:
                        free.append(run)
                    else:
                        self._take(run, Made(record, final=True))
            if theirs:
                time.sleep(WAIT)
        return free


def _ended(running: Mapping[Making, PlannedRun], pause: float | None) -> Iterable[Making]:
    """Runs that have ended; within `pause` seconds, if one is given, perhaps none."""
    if not running:
        time.sleep(pause or 0)
        return ()
    return wait(running, timeout=pause, return_when=FIRST_COMPLETED).done


def _job(run: PlannedRun, ended: Mapping[str, Record]) -> Job:
    if run.config.meta_test is not None:
        return Job(run.run_id, run.config, None, None, run.command, run.identity)
    target = run.config.budget.share if run.config.budget.mode == "share" else None
    reference = ended.get(run.reference) if run.reference else None
    if reference is not None and reference.budget is not None:
        target = reference.budget.achieved
    return Job(run.run_id, run.config, target, run.reference, run.command, run.identity)


def unusable(run: PlannedRun, ended: Mapping[str, Record]) -> str:
    """Why this run cannot start from the runs that it waited for; empty when it can."""
    for needed in run.depends:
        if not ended[needed].metrics:
            return f"it needs {needed}, which ended as {ended[needed].status}"
    if run.reference is None:
        return ""
    budget = ended[run.reference].budget
    if budget is None or budget.achieved is None or not 0.0 < budget.achieved < 1.0:
        reached = "an unknown" if budget is None or budget.achieved is None else f"{budget.achieved:.0%}"
        return f"its reference {run.reference} ended at {reached} sparsity: nothing to match"
    return ""
