"""Small suites by either engine, and what of their results must be the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msbench.experiment import experiment
from msbench.plugins import load_plugins
from msbench.records.record import Record
from msbench.runs.build import build_dataset
from msbench.runs.engines.local import LocalEngine
from msbench.runs.engines.making import Maker
from msbench.runs.engines.ray_engine import RayEngine
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.locks import Locks
from msbench.store.store import Store
from tests.runs.scripted import Seen

PLUGINS = (str(Path(__file__).with_name("ray_plugins.py")),)
SMALL = ("training.samples=64", "engine.measure_seconds=0.02", "engine.device=cpu")
SAME = ("status", "reason", "command", "metrics", "validation", "hashes", "sparsity", "budget", "allowance", "delta")
"""Parts of a record that do not depend on where and when the run was made."""


class Told(Seen):
    """A display that also remembers starts and progress; `on_progress` is called with each."""

    def __init__(self, on_progress: Callable[[str, float], None] = lambda run_id, share: None) -> None:
        super().__init__()
        self.starts, self.shares = list[str](), dict[str, list[float]]()
        self._on_progress = on_progress

    def started(self, run_id: str) -> None:
        self.starts.append(run_id)

    def progressed(self, run_id: str, share: float, score: float | None) -> None:
        self.shares.setdefault(run_id, []).append(share)
        self._on_progress(run_id, share)


def suite(
    folder: Path, cache: Path, names: tuple[str, ...], *overrides: str, display: Told | None = None, **asked: Any
) -> dict[str, Record]:
    """The records of a small suite by run_id; with `engine=ray` among the overrides, by Ray."""
    plugins = load_plugins(PLUGINS)
    given = {"budget": "0.5", "seeds": [0], "choices": {"preset": "smoke"}, **asked}
    wanted = experiment(plugins, sparsifiers=names, overrides=[*SMALL, *overrides], **given)
    store = Store(folder)
    store.open()
    build_dataset(plugins, wanted.data).prepare(cache, lambda done, total, what: None)
    plan: list[PlannedRun] = make_plan(plugins, [wanted], store, cache, Command((), ()))
    engine = LocalEngine if wanted.engine.name == "local" else RayEngine
    with Locks(store.root) as locks:
        return engine(Maker(store, cache, plugins, PLUGINS, wanted.engine, display or Told(), locks)).run(plan)


def assert_same(one: Path, two: Path, records: dict[str, Record]) -> None:
    """The stores `one` and `two` hold equal results of these runs."""
    for run_id in records:
        here, there = (Store(folder).find(run_id) for folder in (one, two))
        assert here is not None
        assert there is not None
        for part in SAME:
            assert getattr(here, part) == getattr(there, part), f"{run_id}: {part}"
        for name in ("model.safetensors", "mask.safetensors"):
            files = [Store(folder).folder(run_id) / name for folder in (one, two)]
            assert files[0].is_file() == files[1].is_file()
            assert not files[0].is_file() or files[0].read_bytes() == files[1].read_bytes(), f"{run_id}: {name}"
        names = [{path.name for path in Store(folder).folder(run_id).iterdir()} for folder in (one, two)]
        assert names[0] == names[1]
