"""The Ray engine: the local one, but that each run is trained by a task of a Ray cluster.

What decides, waits, keeps and measures is the same; the store and the data cache lie in folders that all nodes share.
A run whose node is lost is given to another, where it goes on from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msbench.config import EngineConfig
from msbench.errors import UserError
from msbench.records.record import Record
from msbench.runs.engines.local import LocalEngine
from msbench.runs.engines.making import Display, Maker
from msbench.runs.engines.processes import Ended, Processes
from msbench.runs.engines.ray_cluster import connected, places, resources
from msbench.runs.engines.ray_node import Ear, Ground, Order, train
from msbench.runs.plan import PlannedRun
from msbench.runs.trouble import KEPT
from msbench.store.store import FAILED, TRAINED

Hear = Callable[[Mapping[str, Any]], None]
PAUSE = 0.5
"""Seconds between questions to the cluster for what runs have said."""


@dataclass
class RayEngine:
    """Runs a plan on the cluster that `maker.config` names, with a `maker` for its runs."""

    maker: Maker

    def run(self, plan: Sequence[PlannedRun]) -> dict[str, Record]:
        """A record for every planned run; interrupts leave the store whole. UserError where a node cannot do it."""
        maker = self.maker
        maker.cache = maker.cache.resolve()
        ground = Ground.of(maker.store.root, maker.cache)
        with connected(maker.config) as ray, ground.marked():
            asked = resources(ray, maker.config)
            ground = replace(ground, known=_checked_nodes(ray, ground))
            processes = RayProcesses(ray, maker.config, ground, asked, maker.display.started)
            maker.config = maker.config.model_copy(update={"jobs": places(ray, maker.config)})
            maker.processes, maker.display = processes, _StartsLater(maker.display)
            maker.locks.on_lost = processes.stop
            with processes.listening():
                return LocalEngine(maker).run(plan)


def _checked_nodes(ray: Any, ground: Ground) -> frozenset[str]:
    """The nodes that are there now; UserError when one could not train a run."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    check = ray.remote(num_cpus=0, max_retries=0)(Ground.check)
    asked, known = {}, set()
    for node in ray.nodes():
        if node["Alive"]:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[node["NodeID"]] = check.options(scheduling_strategy=place).remote(ground)
    for name, answer in asked.items():
        with contextlib.suppress(ray.exceptions.NodeDiedError, ray.exceptions.WorkerCrashedError):
            try:
                ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                raise _from_node(error) from error
            known.add(name)
    return frozenset(known)


def _from_node(error: Any) -> Exception:
    """What a task raised, as the command raises it."""
    if isinstance(error.cause, UserError | OSError):
        return error.cause
    return UserError(f"engine=ray: a node cannot run msbench: {_last(error)}")


def _last(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


@dataclass(frozen=True)
class Lost(Ended):
    """The end of a process whose node or Ray worker was lost, `times` times; `why` is of the last."""

    times: int = 1
    why: str = ""

    def __str__(self) -> str:
        often = "once" if self.times == 1 else f"{self.times} times"
        return f"was lost {often} ({self.why})"


class RayProcesses(Processes):
    """Trains runs by tasks of a cluster; measures, and whatever else is to be done, on this machine.

    asked: resources of a task, as Ray names them. on_start: told of a run when a node begins with it.
    """

    def __init__(
        self, ray: Any, config: EngineConfig, ground: Ground, asked: Mapping[str, int], on_start: Callable[[str], None]
    ) -> None:
        super().__init__(threads=config.threads)
        self._ray, self._ground, self._retries, self._on_start = ray, ground, config.retries, on_start
        self._task = ray.remote(max_retries=0, **asked)(train)
        here = ray.get_runtime_context().get_node_id()
        place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        self._ear = ray.remote(num_cpus=0, scheduling_strategy=place)(Ear).remote()
        self._tasks, self._stopped = dict[str, Any](), set[str]()
        self._hears, self._hearing = dict[str, Hear](), threading.Lock()

    def run(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        hear: Hear = lambda event: None,
        extra: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Ended:
        """Run a worker to its end; `extra` is for those of this machine, since nodes know their own GPUs."""
        if arguments[0] != "train":
            return super().run(name, arguments, log, hear, extra, limit)
        self._stopped.discard(name)
        times = 0
        while True:
            order = Order(name, log.parent, self.threads, limit, secrets.token_hex(8))
            ended = self._attempt(order, hear)
            if not isinstance(ended, Lost) or self.stopping or name in self._stopped:
                return ended
            times += 1
            if times > self._retries or any((log.parent / end).is_file() for end in (TRAINED, FAILED)):
                return replace(ended, times=times)
            with log.open("a", encoding="utf-8") as file:
                file.write(f"msbench: the process was lost ({ended.why}); it is started again\n")

    def stop(self, name: str) -> None:
        """End one run's task, or process, if it is there."""
        self._stopped.add(name)
        with self._lock:
            task = self._tasks.get(name)
        if task is not None:
            self._cancel(task)
        super().stop(name)

    def stop_all(self) -> None:
        """End every task and process, and whichever is about to start."""
        super().stop_all()
        with self._lock:
            tasks = list(self._tasks.values())
        for task in tasks:
            self._cancel(task)

    @contextlib.contextmanager
    def listening(self) -> Any:
        """While this lasts, what runs say is heard."""
        over = threading.Event()

        def listen() -> None:
            while not over.wait(PAUSE):
                self._listen()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _attempt(self, order: Order, hear: Hear) -> Ended:
        nodes = []

        def heard(event: Mapping[str, Any]) -> None:
            if "node" in event:
                nodes.append(event["node"])
                self._on_start(order.run_id)
            else:
                hear(event)

        order.give()
        self._hears[order.attempt] = heard
        task = self._task.remote(order, self._ground, self._ear)
        with self._lock:
            self._tasks[order.run_id] = task
        if self.stopping or order.run_id in self._stopped:
            self._cancel(task)
        try:
            return self._ended(task, nodes)
        finally:
            self._listen()
            with self._lock:
                del self._tasks[order.run_id], self._hears[order.attempt]

    def _ended(self, task: Any, nodes: Sequence[str]) -> Ended:
        errors = self._ray.exceptions
        try:
            return Ended(*self._ray.get(task))
        except errors.RayTaskError as error:
            raise _from_node(error) from error
        except errors.RayError as error:
            where = f" of {nodes[0]}" if nodes else ""
            return Lost(-signal.SIGKILL, why=f"{type(error).__name__}{where}")
        except ConnectionError as error:
            raise UserError(f"engine.address: the Ray cluster is gone: {_last(error)}; {KEPT}") from error

    def _listen(self) -> None:
        """Pass on what runs have said; nothing can be heard of a cluster that is gone."""
        with self._hearing, contextlib.suppress(self._ray.exceptions.RayError, ConnectionError):
            for attempt, event in self._ray.get(self._ear.take.remote()):
                if (hear := self._hears.get(attempt)) is not None:
                    hear(event)

    def _cancel(self, task: Any) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ConnectionError, ValueError):
            self._ray.cancel(task, force=True)


@dataclass(frozen=True)
class _StartsLater:
    """A display that is not told of starts: a run that was given to a cluster waits there for its place."""

    display: Display

    def started(self, run_id: str) -> None:
        """Told by the node that begins."""

    def waiting(self, what: str, owner: str) -> None:
        self.display.waiting(what, owner)

    def progressed(self, run_id: str, share: float, score: float | None) -> None:
        self.display.progressed(run_id, share, score)

    def ended(self, run_id: str, record: Record) -> None:
        self.display.ended(run_id, record)

    def measuring(self, done: int, total: int) -> None:
        self.display.measuring(done, total)
