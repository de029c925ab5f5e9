"""One run in several processes of this machine (`engine.processes`): torchrun starts them, and ends them together.

The first process (rank 0) does what the only one does elsewhere. The others train with it, write nothing but lines in
the run's log, and end when training does.
"""

from __future__ import annotations

import io
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TextIO

import torch

from msbench.config import RunConfig
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.runs.describe import Job
from msbench.runs.engines.processes import WORKER, Ended
from msbench.runs.execute import prepared, resolve_device, trained
from msbench.store.store import LOG
from msbench.training.collectives import RankLostError, Ranks

RANK = "rank"
"""What a process of several is told to do; see `worker`."""
WAIT = 10.0
"""Seconds in which torchrun ends a process after another has failed; all of them fail alike, as a rule."""


def launch(folder: Path, processes: int) -> int:
    """Train the job in `folder` in so many processes, which end with this one; its exit code says how they did."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes), "--log-dir", os.devnull]
    arguments = torchrun.parse_args([*options, "-m", WORKER, str(os.getpid()), RANK, str(folder)])
    try:
        torchrun.run(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said = _last_of(rank, folder / LOG) if failure.exitcode == 1 else ""
        print(f"process {rank} of {processes} {said or Ended(failure.exitcode)}", file=sys.stderr, flush=True)
        return max(failure.exitcode, 1)
    return 0


def joined(config: RunConfig) -> Ranks:
    """This process among those of its run, with a GPU of its own where the run is for GPUs."""
    device = resolve_device(config.engine.device)
    if device.type == "cuda":
        own, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= there:
            raise UserError(f"engine.processes={config.engine.processes}: a GPU each, and there are {there}")
        torch.cuda.set_device(own)
    ranks = Ranks.joined(device)
    if not ranks.first:
        sys.stdout = sys.stderr = Prefixed(sys.stderr, _prefix(ranks.rank))
    return ranks


def assist(plugins: Plugins, job: Job, folder: Path, cache: Path, ranks: Ranks) -> int:
    """Train a run together with its first process; the exit code."""
    try:
        problem, sparsifier, trainer, _ = prepared(plugins, job, folder, cache, ranks)
        trained(job, problem, sparsifier, trainer, folder)
    except Exception as error:
        return failed(error)
    return 0


def failed(error: Exception) -> int:
    """Wait to be ended with the process that failed first, unless it was this one; the exit code."""
    traceback.print_exc()
    if not isinstance(error, RankLostError):
        print(f"failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    time.sleep(WAIT)
    return 1


class Prefixed(io.TextIOBase):
    """Text of which every line that is whole goes to `stream`, after a prefix."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix, self._rest = stream, prefix, ""

    def write(self, text: str) -> int:
        """Take a piece of text."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._stream.write(f"{self._prefix}{line}\n")
        self._stream.flush()
        return len(text)


def _prefix(rank: int) -> str:
    return f"[process {rank}] "


def _last_of(rank: int, log: Path) -> str:
    """The last line that a process has written, if it has a prefix."""
    prefix = _prefix(rank)
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith(prefix)]
    return lines[-1].removeprefix(prefix) if lines else ""
