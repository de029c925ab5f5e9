"""What makes a timing noisy: each sign by itself, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from msbench.measure.latency import timed_race
from msbench.measure.noise import Conditions, SystemClock, reasons
from tests.measure.clocks import FakeClock

STEADY = np.full(9, 2.0)
QUIET = Conditions(load=0.5, cpu_share=1.0, others=0.0)


def works(clock: FakeClock, seconds: float) -> Callable[[Tensor], None]:
    return lambda _: clock.work(seconds)


def race(clock: FakeClock) -> tuple[np.ndarray, Conditions]:
    forwards = [works(clock, 0.04), works(clock, 0.01)]
    options = {"rounds": 9, "warmup": 3, "budget_s": 1e9, "precision": 0.0}
    return timed_race(forwards, torch.zeros(1), clock=clock, **options)  # type: ignore[arg-type]


def test_a_quiet_machine_is_not_noisy() -> None:
    clock = FakeClock()

    times, found = race(clock)

    assert times == pytest.approx(np.tile([0.04, 0.01], (9, 1)))
    assert found == Conditions(load=0.0, cpu_share=pytest.approx(1.0), others=0.0)
    assert reasons(times[:, 0] / times[:, 1], found, threads=1, cores=2) == []


def test_a_process_that_waits_for_a_processor_is_caught_though_the_ratio_is_steady() -> None:
    times, found = race(FakeClock(share=0.5))

    assert times[:, 0] / times[:, 1] == pytest.approx(STEADY * 2)
    assert found.cpu_share == pytest.approx(0.5)
    assert reasons(times[:, 0] / times[:, 1], found, threads=1, cores=2) == [
        "the process had a processor for 50% of the time (limit 90%)"
    ]


@pytest.mark.parametrize(("tasks", "threads", "noisy"), [(1, 2, False), (2, 1, False), (2, 2, True), (3, 1, True)])
def test_other_tasks_count_once_the_cores_no_longer_suffice(tasks: int, threads: int, noisy: bool) -> None:
    _, found = race(FakeClock(tasks=tasks))

    assert bool(reasons(STEADY, found, threads, cores=2)) == noisy


@pytest.mark.parametrize(
    ("load", "others", "noisy"),
    [(1.5, None, True), (0.9, None, False), (2.9, 0.0, False), (3.1, 0.0, True), (None, None, False)],
)
def test_the_load_average_decides_alone_only_where_running_tasks_are_not_known(
    load: float | None, others: float | None, noisy: bool
) -> None:
    found = Conditions(load=load, cpu_share=1.0, others=others)

    assert bool(reasons(STEADY, found, threads=1, cores=2)) == noisy


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    # quartiles of 1 … 9 are 3 and 7, the median 5
    assert reasons(np.arange(1.0, 10.0), QUIET, 1, 2) == ["the ratio's quartiles are 80% of it apart (limit 20%)"]
    assert reasons(10 + np.arange(0.0, 1.8, 0.2), QUIET, 1, 2) == []


def test_a_gpu_has_no_share_of_a_processor() -> None:
    assert reasons(STEADY, Conditions(load=0.0, cpu_share=None, others=0.0), 1, 2) == []


def test_the_system_clock_goes_forward_and_counts_this_process() -> None:
    clock = SystemClock()
    wall, cpu = clock.wall(), clock.cpu()
    sum(range(10_000))

    assert clock.wall() > wall
    assert clock.cpu() >= cpu
    running = clock.running()
    assert running is None or running >= 1
