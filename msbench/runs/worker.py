"""The process of a run. Started by the engine; talks to it by one JSON object a line on standard output.

python -m msbench.runs.worker train STAGING_FOLDER
python -m msbench.runs.worker table JOB_FILE
python -m msbench.runs.worker measure RESULTS RUN_ID...
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from msbench.config import RunConfig
from msbench.errors import DivergedError
from msbench.plugins import Plugins, load_plugins
from msbench.runs.describe import Job, blank_record
from msbench.runs.execute import execute
from msbench.runs.record import Record, Status, write_record
from msbench.runs.store import Store


def main(arguments: list[str]) -> int:
    """Dispatch; the exit code is 0 whenever a record was written."""
    _end_with_parent()
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever plugins print goes to the log, not between the events

    def say(**event: Any) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    if arguments[0] == "train":
        train(Path(arguments[1]), say)
    elif arguments[0] == "table":
        table(Path(arguments[1]))
    else:
        measure(Store(Path(arguments[1])), arguments[2:], say)
    return 0


def _end_with_parent() -> None:
    """A command that is killed must not leave its runs behind, writing into a store that others use."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train(folder: Path, say: Any) -> None:
    """Train the job in `folder`; leave `trained.json` there, or a failure's `failed.json`."""
    payload = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    config = RunConfig.model_validate(payload["config"])
    job = Job(
        payload["run_id"], config, payload["target"], payload["reference"], payload["command"], payload["identity"]
    )
    job = replace(job, keep=tuple(payload["keep"]))
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), "utf-8")
    plugins = load_plugins(payload["plugins"])

    def progress(share: float, latest: Mapping[str, float]) -> None:
        say(share=share, score=latest.get("validation/score"))

    try:
        record = execute(plugins, job, folder, Path(payload["cache"]), progress)
    except Exception as error:  # whatever a plugin raises becomes a row with its reason
        traceback.print_exc()
        status: Status = "diverged" if isinstance(error, DivergedError) else "failed"
        record = failure(plugins, job, status, f"{type(error).__name__}: {error}".strip().splitlines()[0])
        write_record(record, folder / "failed.json")
        return
    write_record(record, folder / "trained.json")


def failure(plugins: Plugins, job: Job, status: Status, reason: str) -> Record:
    """The record of a run that produced no result."""
    return blank_record(job, plugins.get("sparsifier", job.config.sparsifier.base), [], status, reason)


def table(path: Path) -> None:
    """Measure the latency table that the run described in `path` counts by, unless it is in the cache."""
    from msbench.runs.execute import resolve_device
    from msbench.runs.units import prepare_table

    payload = json.loads(path.read_text(encoding="utf-8"))
    config = RunConfig.model_validate(payload["config"])
    device = resolve_device(config.engine.device)
    prepare_table(load_plugins(payload["plugins"]), config, Path(payload["cache"]), device)


def measure(store: Store, run_ids: list[str], say: Any) -> None:
    """Finish every trained run of `run_ids`, in this order: proof, compression, speed-up, Δ_T, commit."""
    import torch

    from msbench.runs.finish import finish

    torch.set_flush_denormal(True)
    for run_id in run_ids:
        folder = store.staged(run_id)
        payload = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        plugins = load_plugins(payload["plugins"])
        record = store.trained(run_id)
        assert record is not None
        dense = store.find(payload["dense"]) if payload["dense"] else None
        try:
            record = finish(plugins, record, folder, dense if dense and dense.metrics else None)
        except Exception as error:  # the trained result stands; what could not be measured says why
            traceback.print_exc()
            record.status, record.reason = "inexact", f"measurement failed: {type(error).__name__}: {error}"
        store.commit(run_id, record)
        say(measured=run_id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
