"""Latency: a ratio that is known beforehand, and a statement of everything it depends on."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from msbench.measure.latency import allocator_environment, interval_halfwidth, measure

IMAGE = torch.zeros(2, 3, 8, 16)


class Sleeper(nn.Module):
    def __init__(self, milliseconds: float) -> None:
        super().__init__()
        self.milliseconds = milliseconds

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        assert not self.training
        if image.mean() > -1:  # a branch on a value: cannot be traced, so the dense network is timed as it is
            time.sleep(self.milliseconds / 1000)
        return image


def test_ratio_of_two_known_durations() -> None:
    result = measure(Sleeper(24), Sleeper(6), IMAGE, rounds=9, warmup=3, threads=1)

    assert result.ratio == pytest.approx(4, rel=0.25)
    assert result.dense_s == pytest.approx(0.024, rel=0.25)
    assert result.compact_s == pytest.approx(0.006, rel=0.25)
    assert result.q25 <= result.ratio <= result.q75


def test_conditions_are_recorded() -> None:
    result = measure(Sleeper(0.1), Sleeper(0.1), IMAGE.double(), rounds=7, warmup=3, threads=1)

    assert (result.device, result.threads, result.batch, result.size) == ("cpu", 1, 2, (8, 16))
    assert result.dtype == "float64"
    assert result.noisy == (result.q75 - result.q25 > 0.2 * result.ratio)


def test_thread_count_is_put_back() -> None:
    before = torch.get_num_threads()

    measure(Sleeper(0.1), Sleeper(0.1), IMAGE, rounds=7, warmup=1, threads=before + 1)

    assert torch.get_num_threads() == before


def test_rounds_stop_early_when_the_ratio_is_certain() -> None:
    result = measure(Sleeper(6), Sleeper(6), IMAGE, rounds=40, warmup=3, threads=1, precision=0.5)

    assert result.rounds < 40


def test_rounds_stop_at_the_time_budget_but_never_before_seven() -> None:
    result = measure(Sleeper(2), Sleeper(2), IMAGE, rounds=40, warmup=1, threads=1, budget_s=0.0, precision=0.0)

    assert result.rounds == 7


def test_interval_of_the_median_is_that_of_the_order_statistics() -> None:
    # for 10 values it runs from the 2nd to the 9th: a binomial tail of 0.0107 on either side
    assert interval_halfwidth(np.arange(10.0)) == pytest.approx((8 - 1) / 2)
    assert math.isinf(interval_halfwidth(np.arange(3.0)))


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
