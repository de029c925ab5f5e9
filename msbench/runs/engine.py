"""The local engine: one process a run, several at a time, then one quiet process that measures them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from msbench.config import EngineConfig, RunConfig
from msbench.measure.latency import allocator_environment
from msbench.plugins import Plugins
from msbench.runs.describe import Job
from msbench.runs.plan import PlannedRun, order
from msbench.runs.record import Record, Status, read_record
from msbench.runs.sharing import kept_steps
from msbench.runs.store import Store, write_json
from msbench.runs.worker import failure


class Display(Protocol):
    """What the engine tells the person who waits."""

    def started(self, run_id: str) -> None: ...
    def progressed(self, run_id: str, share: float, score: float | None) -> None: ...
    def ended(self, run_id: str, record: Record) -> None: ...
    def measuring(self, done: int, total: int) -> None: ...


@dataclass
class LocalEngine:
    """Runs a plan on this machine. `plugins_from`: `--plugin` sources that each process loads again."""

    store: Store
    cache: Path
    plugins: Plugins
    plugins_from: Sequence[str]
    config: EngineConfig
    display: Display
    _children: set[subprocess.Popen[str]] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _keep: Mapping[str, tuple[int, ...]] = field(default_factory=dict, init=False)

    def run(self, plan: Sequence[PlannedRun]) -> dict[str, Record]:
        """Run what is not in the store; a record for every planned run. Interrupts leave the store whole."""
        records = {run.run_id: record for run in plan if (record := self.store.reusable(run.run_id)) is not None}
        waiting = [run for run in order(plan) if run.run_id not in records]
        trained: dict[str, Record] = {}
        self._keep = kept_steps(self.plugins, waiting)
        try:
            self._measure_tables(waiting)
            self._train_all(waiting, records, trained)
            self._measure_all([run for run in plan if run.run_id in trained])
        except BaseException:
            self._kill_all()
            raise
        for run_id in trained:
            found = self.store.find(run_id)
            if found is not None:
                records[run_id] = found
        return records

    # -- training ------------------------------------------------------------------------------------------------

    def _train_all(self, waiting: list[PlannedRun], records: dict[str, Record], trained: dict[str, Record]) -> None:
        """Start each run as soon as what it waits for is there, `jobs` at a time."""
        with ThreadPoolExecutor(max_workers=self._jobs()) as pool:
            running: dict[Future[Record], PlannedRun] = {}
            try:
                while waiting or running:
                    self._start_ready(pool, waiting, running, records, trained)
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        run = running.pop(future)
                        record = future.result()
                        (trained if record.metrics else records)[run.run_id] = record
                        self.display.ended(run.run_id, record)
            except BaseException:
                self._kill_all()
                raise

    def _start_ready(
        self,
        pool: ThreadPoolExecutor,
        waiting: list[PlannedRun],
        running: dict[Future[Record], PlannedRun],
        records: dict[str, Record],
        trained: dict[str, Record],
    ) -> None:
        ended = {**records, **trained}
        for run in [run for run in waiting if all(needed in ended for needed in run.depends)]:
            waiting.remove(run)
            job = self._job(run, ended)
            running[pool.submit(self._train, run, job, unusable(run, ended))] = run

    def _job(self, run: PlannedRun, ended: Mapping[str, Record]) -> Job:
        if run.config.meta_test is not None:
            return Job(run.run_id, run.config, None, None, run.command, run.identity)
        target = run.config.budget.share if run.config.budget.mode == "share" else None
        reference = ended.get(run.reference) if run.reference else None
        if reference is not None and reference.budget is not None:
            target = reference.budget.achieved
        return Job(run.run_id, run.config, target, run.reference, run.command, run.identity)

    def _train(self, run: PlannedRun, job: Job, reason: str) -> Record:
        """Train one run in its own process; whatever happens to the process, a record comes back."""
        if self._stopping.is_set():
            raise InterruptedError(f"{run.run_id} was not started")
        if reason:
            self.store.begin(run.run_id)
            return self._failed(job, "skipped", reason)
        earlier = self.store.trained(run.run_id)
        if earlier is not None:
            return earlier
        folder = self.store.begin(run.run_id)
        write_json(self._payload(run, job), folder / "job.json")
        self.display.started(run.run_id)
        code, timed_out = self._process(["train", str(folder)], folder / "log.txt", run.run_id, {})
        if (folder / "trained.json").is_file():
            return read_record(folder / "trained.json")
        if (folder / "failed.json").is_file():
            record = read_record(folder / "failed.json")
            (folder / "failed.json").unlink()
            self.store.commit(run.run_id, record)
            return record
        if self._stopping.is_set():
            raise InterruptedError(f"{run.run_id} was stopped with the command")  # no result, and no failure either
        if timed_out:
            return self._failed(job, "timeout", f"stopped after {self.config.timeout:g} s")
        return self._failed(job, "killed", f"its process ended with {_exit_words(code)}: {_last_line(folder)}")

    def _payload(self, run: PlannedRun, job: Job) -> dict[str, Any]:
        return {
            "run_id": run.run_id,
            "config": run.config.model_dump(mode="json"),
            "target": job.target,
            "reference": run.reference,
            "dense": run.dense,
            "command": run.command,
            "identity": run.identity,
            "plugins": list(self.plugins_from),
            "cache": str(self.cache),
            "keep": list(self._keep.get(run.run_id, ())),
        }

    def _failed(self, job: Job, status: Status, reason: str) -> Record:
        record = failure(self.plugins, job, status, reason)
        self.store.commit(job.run_id, record)
        return record

    def _measure_tables(self, waiting: Sequence[PlannedRun]) -> None:
        """The latency tables that budgets count by, while nothing trains; a run whose table is missing makes it."""
        kinds: dict[str, RunConfig] = {}
        for run in waiting:
            if run.config.budget.unit == "latency":
                kinds.setdefault(run.config.model_dump_json(include={"data", "tasks", "model", "engine"}), run.config)
        for config in kinds.values():
            job = self.store.root / "staging" / "table.json"
            payload = {"config": config.model_dump(mode="json"), "plugins": list(self.plugins_from)}
            write_json({**payload, "cache": str(self.cache)}, job)
            self._process(["table", str(job)], job.with_suffix(".log"), None, allocator_environment())

    # -- measuring -----------------------------------------------------------------------------------------------

    def _measure_all(self, runs: Sequence[PlannedRun]) -> None:
        """One process measures everything, dense controls first, while nothing else of ours runs."""
        if not runs:
            return
        ids = [run.run_id for run in sorted(runs, key=lambda run: run.dense is not None)]
        self.display.measuring(0, len(ids))
        log = self.store.root / "staging" / "measure.log"
        self._process(["measure", str(self.store.root), *ids], log, None, allocator_environment(), len(ids))

    # -- processes -----------------------------------------------------------------------------------------------

    def _process(
        self, arguments: list[str], log: Path, run_id: str | None, extra: Mapping[str, str], total: int = 0
    ) -> tuple[int, bool]:
        """Run a worker to its end, forwarding its events; (exit code, whether it was stopped for time)."""
        threads = str(self.config.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE", **extra}
        limit = self.config.timeout if run_id is not None and self.config.timeout > 0 else None
        timed_out, measured = threading.Event(), 0
        with log.open("a", encoding="utf-8") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "msbench.runs.worker", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                start_new_session=True,
            )
            with self._lock:
                self._children.add(child)
            timer = _after(limit, child, timed_out)
            assert child.stdout is not None
            for line in child.stdout:
                event = json.loads(line)
                if "share" in event and run_id is not None:
                    self.display.progressed(run_id, event["share"], event["score"])
                elif "measured" in event:
                    measured += 1
                    self.display.measuring(measured, total)
            code = child.wait()
            if timer is not None:
                timer.cancel()
            with self._lock:
                self._children.discard(child)
        return code, timed_out.is_set()

    def _kill_all(self) -> None:
        self._stopping.set()
        with self._lock:
            for child in self._children:
                child.kill()

    def _jobs(self) -> int:
        if self.config.jobs > 0:
            return self.config.jobs
        import torch

        if self.config.device != "cpu" and torch.cuda.is_available():
            return torch.cuda.device_count()
        return max(1, (os.cpu_count() or 1) // self.config.threads)


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


def _after(seconds: float | None, child: subprocess.Popen[str], fired: threading.Event) -> threading.Timer | None:
    """Kill the child when its time is up."""
    if seconds is None:
        return None

    def stop() -> None:
        fired.set()
        child.kill()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    return timer


def _exit_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing in its log"
