"""A stored run made a second time, in a store of its own that is thrown away.

python -m msbench.runs.verification.retrain JOB
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msbench.config import RunConfig
from msbench.errors import UserError
from msbench.plugins import Plugins, load_plugins
from msbench.records.record import Record, read_record, write_record
from msbench.runs.describe import Job
from msbench.runs.execute import execute
from msbench.runs.plan import identity_of
from msbench.runs.verification.comparing import Check
from msbench.runs.verification.reloaded import config_of
from msbench.selection import MASK
from msbench.store.store import Store, write_json

REPEATED = 0.05
"""Relative difference of each task's headline metric that is allowed where a repetition runs on another machine."""
NEEDED = ("model.safetensors", "mask.safetensors")
"""What a run may read of another one."""


def retrain(
    store: Store, record: Record, cache: Path, plugins: Plugins, plugins_from: Sequence[str], same_machine: bool
) -> Check:
    """Repeat a run: the same weights to the last bit on the same machine, else metrics within `REPEATED`.

    It is repeated in one process, so one that was trained in several is off in the last digits too.
    """
    same_machine = same_machine and config_of(record).engine.processes == 1
    with tempfile.TemporaryDirectory(prefix="msbench-") as folder:
        aside = Store(Path(folder))
        for needed in _needed(record):
            _lend(store, aside, needed)
        try:
            found = _again(aside, record, cache, plugins, plugins_from)
        except UserError as error:
            return Check(name="repetition", ok=False, detail=str(error))
    return _compared(record, found, same_machine)


def _compared(record: Record, found: Record, same_machine: bool) -> Check:
    same = found.hashes["weights"] == record.hashes.get("weights")
    if same or same_machine:
        words = "the same weights to the last bit" if same else "other weights; `msbench results why` may say why"
        return Check(name="repetition", ok=same, detail=words)
    off = {
        f"{task.name}.{task.headline}": abs(now - then) / max(abs(now), abs(then), 1e-12)
        for task in record.tasks
        for now, then in [
            (found.metrics[task.name][task.headline].value, record.metrics[task.name][task.headline].value)
        ]
    }
    name, most = max(off.items(), key=lambda item: item[1])
    where = "another machine" if config_of(record).engine.processes == 1 else "in one process"
    words = f"{where}: {name} differs by {most:.2%}, allowed {REPEATED:.0%}"
    return Check(name="repetition", ok=most <= REPEATED, detail=words)


def _needed(record: Record) -> Iterator[str]:
    """Runs whose weights or mask this one started from."""
    if record.meta_test is not None:
        yield record.meta_test.source
    for value in record.sparsifier.params.values():
        if isinstance(value, str) and value.startswith(MASK):
            yield value.removeprefix(MASK)


def _lend(store: Store, aside: Store, run_id: str) -> None:
    if run_id not in store.ids():
        raise UserError(f"run {run_id} is needed for the repetition, and is not in {store.root}")
    aside.folder(run_id).mkdir(parents=True)
    for name in NEEDED:
        if (store.folder(run_id) / name).is_file():
            shutil.copyfile(store.folder(run_id) / name, aside.folder(run_id) / name)


def _again(aside: Store, record: Record, cache: Path, plugins: Plugins, plugins_from: Sequence[str]) -> Record:
    """The record of the repetition. Nothing is shared with other runs: it trains from its first step."""
    config = config_of(record)
    config = config.model_copy(update={"engine": config.engine.model_copy(update={"share_start": False})})
    dense = record.delta.dense_run if record.delta is not None else None
    reference = record.budget.reference if record.budget is not None else None
    folder = aside.staged("again")
    folder.mkdir(parents=True)
    job = {
        "run_id": "again",
        "config": config.model_dump(mode="json"),
        "target": record.budget.asked if record.budget is not None else None,
        "reference": reference,
        "command": record.command,
        "identity": identity_of(plugins, config, cache, dense, reference),
        "plugins": list(plugins_from),
        "cache": str(cache.absolute()),
    }
    write_json(job, folder / "job.json")
    variables = {**os.environ, "OMP_NUM_THREADS": str(config.engine.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "msbench.runs.verification.retrain", str(folder / "job.json")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"the repetition failed: {last}"[:300])
    return read_record(folder / "again.json")


def main(arguments: Sequence[str]) -> int:
    """Train the job in a file; leave its record beside it."""
    path = Path(arguments[0])
    payload: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config = RunConfig.model_validate(payload["config"])
    named = (payload[name] for name in ("target", "reference", "command", "identity"))
    job = Job(payload["run_id"], config, *named)
    plugins = load_plugins(payload["plugins"])
    record = execute(plugins, job, path.parent, Path(payload["cache"]), lambda share, latest: None)
    write_record(record, path.parent / "again.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
