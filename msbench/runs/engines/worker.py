"""The process of a run. Started by the engine; talks to it by one JSON object a line on standard output.

python -m msbench.runs.engines.worker PARENT train STAGING_FOLDER
python -m msbench.runs.engines.worker PARENT rank STAGING_FOLDER (one of several processes, which `train` starts)
python -m msbench.runs.engines.worker PARENT table JOB_FILE
python -m msbench.runs.engines.worker PARENT measure RESULTS RUN_ID...

PARENT: the process number of the process that started it, with which it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
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
from msbench.errors import DivergedError, UserError
from msbench.plugins import Plugins, load_plugins
from msbench.records.record import Record, Status, write_record
from msbench.runs.describe import Job, blank_record
from msbench.runs.engines.parallel import RANK, assist, failed, joined, launch
from msbench.runs.execute import execute
from msbench.store.durable import write_whole
from msbench.store.store import FAILED, LOG, Store
from msbench.training.collectives import RankLostError

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Dispatch; the exit code is 0 whenever a record was written."""
    _end_with(int(arguments.pop(0)))
    if arguments[0] == "train" and (processes := _processes(Path(arguments[1]))) > 1:
        return launch(Path(arguments[1]), processes)
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever plugins print goes to the log, not between the events

    def say(**event: Any) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    if arguments[0] in ("train", RANK):
        return train(Path(arguments[1]), say, several=arguments[0] == RANK)
    if arguments[0] == "table":
        table(Path(arguments[1]))
    else:
        measure(Store(Path(arguments[1])), arguments[2:], say)
    return 0


def _end_with(parent: int) -> None:
    """A command that is killed must not leave its runs behind, writing into a store that others use.

    Linux kills this process with the thread that started it, at once; elsewhere it looks, five times a second.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with all that the run has started
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _processes(folder: Path) -> int:
    engine: Mapping[str, Any] = Store(folder.parent.parent).job(folder.name)["config"]["engine"]
    return int(engine.get("processes", 1))


def train(folder: Path, say: Any, several: bool = False) -> int:
    """Train the job in `folder`; leave `trained.json` there, or a failure's `failed.json`. Returns the exit code.

    several: whether other processes train the same run, in which case the first alone leaves anything.
    """
    store = Store(folder.parent.parent)
    payload = store.job(folder.name)
    config = RunConfig.model_validate(payload["config"])
    job = Job(
        payload["run_id"], config, payload["target"], payload["reference"], payload["command"], payload["identity"]
    )
    job = replace(job, keep=tuple(payload["keep"]))
    plugins, cache = load_plugins(payload["plugins"]), Path(payload["cache"])
    ranks = joined(config) if several else None
    if ranks is not None and not ranks.first:
        return assist(plugins, job, folder, cache, ranks)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), "utf-8")

    def progress(share: float, latest: Mapping[str, float]) -> None:
        say(share=share, score=latest.get("validation/score"))

    try:
        record = execute(plugins, job, folder, cache, progress, ranks)
    except RankLostError as error:
        return failed(error)
    except Exception as error:  # whatever a plugin raises becomes a row with its reason
        traceback.print_exc()
        status: Status = "diverged" if isinstance(error, DivergedError) else "failed"
        row = failure(plugins, job, status, _reason(error))
        write_whole(folder / FAILED, lambda aside: write_record(row, aside))
        return 1 if several else 0  # which ends the others
    store.keep_trained(job.run_id, record)
    return 0


def _reason(error: Exception) -> str:
    """One line: what was raised, and where, unless it speaks for itself."""
    said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if isinstance(error, UserError | DivergedError):
        return said
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno}, {frames[-1].name})"


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
        with (folder / LOG).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 2)
        payload = store.job(run_id)
        plugins = load_plugins(payload["plugins"])
        record = store.trained(run_id)
        assert record is not None
        try:
            record = finish(plugins, record, folder, _dense(store, payload["dense"]))
        except Exception as error:
            traceback.print_exc()
            unmeasured(record, _reason(error))
        store.commit(run_id, record)
        say(measured=run_id)


def _dense(store: Store, run_id: str | None) -> Record | None:
    """The dense control's record, which another process may still be measuring."""
    if run_id is None:
        return None
    record = store.find(run_id) or store.trained(run_id) or store.find(run_id)
    return record if record is not None and record.metrics else None


def unmeasured(record: Record, why: str) -> None:
    """The trained result stands; what could not be measured says why."""
    record.status, record.reason = "inexact", f"measurement failed: {why}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
