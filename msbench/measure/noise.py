"""Whether a timing can be believed: how long the process waited for a processor, and what else was running."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

SPREAD = 0.2
"""Most that the ratio's interquartile range may be of its median."""
BUSY = 0.9
"""Least share of the wall time that a process which only computes must have had a processor for."""


class Clock(Protocol):
    """Where times come from; a test has its own."""

    def wall(self) -> float:
        """Seconds since some moment."""
        ...

    def cpu(self) -> float:
        """Seconds of processor time that this process has had, all threads together."""
        ...

    def running(self) -> int | None:
        """Tasks of the whole machine that run or wait for a processor, the asking one included; None: not known."""
        ...

    def load(self) -> float | None:
        """The machine's load average over the last minute; None: not known."""
        ...


class SystemClock:
    """The machine's own clocks and counters."""

    def wall(self) -> float:
        return time.perf_counter()

    def cpu(self) -> float:
        return time.process_time()

    def running(self) -> int | None:
        try:
            fields = Path("/proc/loadavg").read_text(encoding="ascii").split()
            return int(fields[3].partition("/")[0])
        except (OSError, IndexError, ValueError):
            return None

    def load(self) -> float | None:
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@dataclass(frozen=True)
class Conditions:
    """What went on while timing.

    load: load average when it began. cpu_share: processor time / wall time of the timed stretches; at least 1 for a
    process that always had a processor, None where a GPU was timed. others: running tasks that were not this process,
    median over the rounds, looked at between the timings; None where the system does not say.
    """

    load: float | None
    cpu_share: float | None
    others: float | None


def reasons(ratios: np.ndarray, conditions: Conditions, threads: int, cores: int) -> list[str]:
    """Why a comparison is noisy, in words; empty when nothing is wrong.

    ratios: one a round. cores: of the machine. The load average lags by a minute and counts our own training before:
    above the threads used it decides only where running tasks are not known; else a whole task must have waited.
    """
    found = []
    q25, middle, q75 = np.quantile(ratios, [0.25, 0.5, 0.75])
    if q75 - q25 > SPREAD * middle:
        found.append(f"the ratio's quartiles are {(q75 - q25) / middle:.0%} of it apart (limit {SPREAD:.0%})")
    share, others, load = conditions.cpu_share, conditions.others, conditions.load
    if share is not None and share < BUSY:
        found.append(f"the process had a processor for {share:.0%} of the time (limit {BUSY:.0%})")
    if others is not None and others + threads > cores:
        tasks = "task" if others == 1 else "tasks"
        found.append(f"{others:g} other {tasks} running beside {threads} of ours on {cores} cores")
    if load is not None and load > (threads if others is None else cores + 1):
        found.append(f"load average {load:.1f}, with {threads} of {cores} cores used")
    return found


def conditions(load: float | None, spent: Sequence[tuple[float, float]], running: Sequence[int | None]) -> Conditions:
    """From what was noted: (processor, wall) seconds of each timing, none of a GPU's, and running tasks each round."""
    wall = sum(seconds for _, seconds in spent)
    known = [tasks - 1 for tasks in running if tasks is not None]
    return Conditions(
        load=load,
        cpu_share=sum(seconds for seconds, _ in spent) / wall if wall > 0 else None,
        others=float(np.median(known)) if known else None,
    )
