"""An engine whose runs are small scripts: everything is real but what a run computes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.records.record import MetricValue, Record, SparsifierPart
from msbench.runs.engines.local import LocalEngine
from msbench.runs.engines.making import Maker
from msbench.runs.engines.processes import Processes
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.locks import Locks
from msbench.store.store import Store

TEMPLATE = Record(
    run_id="",
    status="ok",
    created="2026-01-01T00:00:00+00:00",
    preset="smoke",
    command="",
    seed=0,
    sparsifier=SparsifierPart(name="x", base="x", plugin="x", version="1", params={}),
    metrics={"depth": {"abs": MetricValue(value=1.0, better="lower", label="", unit="", in_delta=True)}},
)
WORKER = """
import json, os, signal, sys, time
template, behave, what, first, *rest = sys.argv[1:]
def write(folder, name):
    found = {**json.loads(template), "run_id": os.path.basename(folder)}
    with open(f"{folder}/.{name}", "w") as file:
        json.dump(found, file)
    os.replace(f"{folder}/.{name}", f"{folder}/{name}")
def train(folder):
    run = os.path.basename(folder)
    with open(f"{folder}/model.safetensors", "w") as file:
        file.write(run)
    exec(behave)
    print(json.dumps({"share": 1.0, "score": 0.5}), flush=True)
    write(folder, "trained.json")
def measure(folder):
    run = os.path.basename(folder)
    exec(behave)
    write(folder, "record.json")
    os.unlink(f"{folder}/trained.json")
    os.unlink(f"{folder}/job.json")
    os.rename(folder, f"{first}/runs/{run}")
    print(json.dumps({"measured": run}), flush=True)
if what == "train":
    train(first)
for run in rest:
    measure(f"{first}/staging/{run}")
"""


class Scripted(Processes):
    """Starts scripts. behave: Python code that each executes with `what` (train or measure) and `run` in scope."""

    def __init__(self, behave: str) -> None:
        super().__init__(threads=1)
        self.behave, self.started = behave, list[str]()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], errors: Any) -> subprocess.Popen[str]:
        self.started += [Path(argument).name for argument in arguments[1:] if arguments[0] == "train"]
        script = [sys.executable, "-c", WORKER, json.dumps(TEMPLATE.model_dump(mode="json")), self.behave, *arguments]
        return subprocess.Popen(
            script, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )


class Seen:
    """A display that remembers what it was told."""

    def __init__(self) -> None:
        self.waits, self.ends = list[tuple[str, str]](), list[str]()

    def started(self, run_id: str) -> None:
        pass

    def waiting(self, what: str, owner: str) -> None:
        self.waits.append((what, owner))

    def progressed(self, run_id: str, share: float, score: float | None) -> None:
        assert share == 1.0

    def ended(self, run_id: str, record: Record) -> None:
        self.ends.append(run_id)

    def measuring(self, done: int, total: int) -> None:
        assert 0 <= done <= total


def planned(plugins: Plugins, folder: Path, *names: str, **asked: Any) -> list[PlannedRun]:
    """The plan of `msbench run -s NAMES --budget 0.5 --preset smoke` over a store in `folder`."""
    given = {"budget": "0.5", "seeds": [0], "choices": {"preset": "smoke"}, "overrides": (), **asked}
    found = experiment(plugins, sparsifiers=names, **given)
    store = Store(folder)
    store.open()
    return make_plan(plugins, [found], store, folder / "cache", Command((), ()))


def maker_of(plugins: Plugins, folder: Path, locks: Locks, behave: str = "", timeout: float = 0) -> Maker:
    """A maker whose runs are scripts, one after the other."""
    engine = experiment(
        plugins,
        sparsifiers=["dense"],
        budget="0.5",
        seeds=[0],
        choices={"preset": "smoke"},
        overrides=(f"engine.timeout={timeout}", "engine.jobs=1", "engine.device=cpu"),
    ).engine
    maker = Maker(Store(folder), folder / "cache", plugins, (), engine, Seen(), locks)
    maker.processes = Scripted(behave)
    locks.on_lost = maker.processes.stop
    return maker


def made(plugins: Plugins, folder: Path, plan: Sequence[PlannedRun], behave: str = "") -> dict[str, Record]:
    """Records of a plan by the names of sparsifiers, from one command."""
    with Locks(folder) as locks:
        records = LocalEngine(maker_of(plugins, folder, locks, behave)).run(plan)
    return {run.config.sparsifier.name: records[run.run_id] for run in plan}
