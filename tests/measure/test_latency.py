"""Latency: a ratio that is known beforehand, and a statement of everything it depends on."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from msbench.measure.latency import Latency, allocator_environment, interval_halfwidth, measure, median_interval
from tests.measure.clocks import FakeClock

IMAGE = torch.zeros(2, 3, 8, 16)


class Worker(nn.Module):
    """Takes so many milliseconds of a clock that only it moves."""

    def __init__(self, milliseconds: float, clock: FakeClock) -> None:
        super().__init__()
        self.milliseconds, self.clock = milliseconds, clock

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        assert not self.training
        if image.mean() > -1:  # a branch on a value: cannot be traced, so the dense network is timed as it is
            self.clock.work(self.milliseconds / 1000)
        return image


def timed(dense: float, compact: float, clock: FakeClock | None = None, **options: Any) -> Latency:
    clock = clock or FakeClock()
    return measure(Worker(dense, clock), Worker(compact, clock), options.pop("image", IMAGE), clock=clock, **options)


def test_ratio_of_two_known_durations() -> None:
    result = timed(24, 6, rounds=9, warmup=3)

    assert [result.ratio, result.low, result.high] == pytest.approx([4, 4, 4])
    assert result.dense_s == pytest.approx(0.024)
    assert result.compact_s == pytest.approx(0.006)
    assert not result.noisy


def test_conditions_are_recorded() -> None:
    result = timed(0.1, 0.1, FakeClock(share=0.5, tasks=3, average=1.5), image=IMAGE.double(), rounds=7, warmup=3)

    assert (result.device, result.threads, result.batch, result.size) == ("cpu", 1, 2, (8, 16))
    assert (result.dtype, result.mode) == ("float64", "eager")
    assert (result.cpu_share, result.others, result.load) == (pytest.approx(0.5), 2.0, 1.5)
    assert result.noisy
    assert any("had a processor for 50%" in why for why in result.why)


def test_thread_count_is_put_back() -> None:
    before = torch.get_num_threads()

    timed(0.1, 0.1, rounds=7, warmup=1, threads=before + 1)

    assert torch.get_num_threads() == before


def test_rounds_stop_early_when_the_ratio_is_certain() -> None:
    assert timed(6, 6, rounds=40, warmup=3, precision=0.5).rounds == 7


def test_rounds_stop_at_the_time_budget_but_never_before_seven() -> None:
    assert timed(6, 6, rounds=40, warmup=1, budget_s=0.0, precision=-1.0).rounds == 7
    assert timed(50, 50, rounds=40, warmup=1, budget_s=1.05, precision=-1.0).rounds == 11


def test_interval_of_the_median_is_that_of_the_order_statistics() -> None:
    # for 10 values it runs from the 2nd to the 9th: a binomial tail of 0.0107 on either side
    assert interval_halfwidth(np.arange(10.0)) == pytest.approx((8 - 1) / 2)
    assert math.isinf(interval_halfwidth(np.arange(3.0)))
    assert median_interval(np.arange(10.0)[::-1]) == (1.0, 8.0)


@pytest.mark.parametrize("count", [7, 9, 12, 25])
def test_interval_of_the_median_is_that_of_scipys_quantile_test(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.quantile_test(values, q=0, p=0.5).confidence_interval(confidence_level=0.95)

    assert median_interval(values) == pytest.approx((expected.low, expected.high))


def test_interval_covers_the_true_median_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    samples = generator.exponential(size=(2000, 15))
    ordered = np.sort(samples, axis=1)

    covered = 0
    for sample, row in zip(samples, ordered, strict=True):
        width = 2 * interval_halfwidth(sample)
        low = next(i for i in range(8) if row[14 - i] - row[i] == pytest.approx(width))
        covered += row[low] <= math.log(2) <= row[14 - low]

    assert covered / 2000 >= 0.94


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_process_starts_with_the_allocator_variables() -> None:
    environment = {**os.environ, **allocator_environment()}

    finished = subprocess.run(
        [sys.executable, "-c", "print('up')"], env=environment, capture_output=True, text=True, check=True
    )

    assert finished.stdout == "up\n"
    assert finished.stderr == ""
    assert all(value.isdigit() for value in allocator_environment().values())
