"""How fast the compact network is beside the dense one, on one device."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn

from msbench.measure.noise import Clock, Conditions, SystemClock, conditions, reasons
from msbench.measure.timer import Timer, graphed
from msbench.sparsity.compaction import fold_batchnorm

_FEWEST_ROUNDS = 7
"""Fewer give no 95 % interval of a median: 2 * 0.5^n must be at most 0.05, with one round to spare."""
Mode = Literal["eager", "graph"]
"""How a network is called: as it is, or replayed as a CUDA graph."""


@dataclass(frozen=True)
class Latency:
    """Dense against compact in alternating rounds.

    ratio, q25, q75: median and quartiles over rounds of dense time / compact time; low, high: 95 % interval of the
    median. dense_s, compact_s: median seconds a forward. size: height and width. load, cpu_share, others: see
    `Conditions`. why: what makes the result noisy, in words; noisy: whether anything does.
    """

    device: str
    ratio: float
    q25: float
    q75: float
    low: float
    high: float
    dense_s: float
    compact_s: float
    rounds: int
    threads: int
    batch: int
    size: tuple[int, int]
    dtype: str
    mode: Mode
    load: float | None
    cpu_share: float | None
    others: float | None
    why: tuple[str, ...]

    @property
    def noisy(self) -> bool:
        return bool(self.why)


def measure(
    dense: nn.Module,
    compact: nn.Module,
    image: Tensor,
    *,
    rounds: int = 50,
    warmup: int = 10,
    threads: int = 1,
    device: str = "cpu",
    budget_s: float = 20.0,
    precision: float = 0.02,
    mode: Mode = "eager",
    clock: Clock | None = None,
) -> Latency:
    """Time both networks in eval mode on `image` [B, 3, H, W], one after the other, in one process.

    The dense network's batch-norms are folded first, as the compact network's are: folding needs no sparsity.
    Both warm up until three forwards in a row agree within 10 %, at most `warmup` each. Rounds end when the
    95 % interval of the median ratio is within `precision` of it on either side, or after `rounds` rounds or
    `budget_s` seconds, but not before 7 rounds. Both networks take the image's dtype. Start the process with
    `allocator_environment()`.
    """
    place = torch.device(device)
    image = image.to(place)
    dense, compact = (copy.deepcopy(network).to(place, image.dtype) for network in (dense, compact))
    networks: list[Callable[[Tensor], object]] = [fold_batchnorm(dense, image), compact.eval()]
    with threads_of(threads), torch.inference_mode():
        if mode == "graph":
            networks = [graphed(network, image) for network in networks]
        times, found = timed_race(
            networks, image, rounds=rounds, warmup=warmup, budget_s=budget_s, precision=precision, clock=clock
        )

    ratios = times[:, 0] / times[:, 1]
    q25, ratio, q75 = np.quantile(ratios, [0.25, 0.5, 0.75])
    low, high = median_interval(ratios)
    dense_s, compact_s = np.median(times, axis=0)
    return Latency(
        device=device if place.type == "cpu" else torch.cuda.get_device_name(place),
        ratio=float(ratio),
        q25=float(q25),
        q75=float(q75),
        low=low,
        high=high,
        dense_s=float(dense_s),
        compact_s=float(compact_s),
        rounds=len(times),
        threads=threads,
        batch=image.shape[0],
        size=(image.shape[2], image.shape[3]),
        dtype=str(image.dtype).removeprefix("torch."),
        mode=mode,
        load=found.load,
        cpu_share=found.cpu_share,
        others=found.others,
        why=tuple(reasons(ratios, found, threads, os.cpu_count() or 1)),
    )


def race(
    forwards: Sequence[Callable[[Tensor], object]],
    image: Tensor,
    *,
    rounds: int = 50,
    warmup: int = 10,
    budget_s: float = 20.0,
    precision: float = 0.02,
) -> np.ndarray:
    """Seconds a forward on `image` of two networks of any kind, in turn: [round, network]. Ends as `measure` says."""
    return timed_race(forwards, image, rounds=rounds, warmup=warmup, budget_s=budget_s, precision=precision)[0]


def timed_race(
    forwards: Sequence[Callable[[Tensor], object]],
    image: Tensor,
    *,
    rounds: int,
    warmup: int,
    budget_s: float,
    precision: float,
    clock: Clock | None = None,
) -> tuple[np.ndarray, Conditions]:
    """The same times, and what went on meanwhile."""
    clock = clock or SystemClock()
    load = clock.load()
    timers = [Timer(forward, image, clock) for forward in forwards]
    for timer in timers:
        timer.warm_up(warmup)
    times: list[list[float]] = []
    running: list[int | None] = []
    begin = clock.wall()
    while len(times) < max(rounds, _FEWEST_ROUNDS):
        running.append(clock.running())
        order = [0, 1] if len(times) % 2 == 0 else [1, 0]  # what comes second may find warmer caches
        taken = {index: timers[index].seconds() for index in order}
        times.append([taken[0], taken[1]])
        if len(times) < _FEWEST_ROUNDS:
            continue
        ratios = np.array([dense / compact for dense, compact in times])
        if clock.wall() - begin > budget_s or interval_halfwidth(ratios) <= precision * np.median(ratios):
            break
    return np.array(times), conditions(load, [pair for timer in timers for pair in timer.spent], running)


def allocator_environment() -> dict[str, str]:
    """Variables that the measuring process must be started with: glibc then keeps large blocks instead of
    returning them to the system after every layer, whose page faults otherwise cost more than the layers
    (glibc reads them at start only; other systems ignore them)."""
    return {
        "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
        "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
        "MALLOC_TOP_PAD_": str(256 * 2**20),
    }


def median_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The median's interval, distribution-free: order statistics by the binomial (Hahn and Meeker, 1991, section
    5.2). Infinite on both sides when there are too few values."""
    count = len(values)
    lower = int(binom.ppf((1 - confidence) / 2, count, 0.5)) - 1
    if lower < 0:
        return -float("inf"), float("inf")
    ordered = np.sort(values)
    return float(ordered[lower]), float(ordered[count - 1 - lower])


def interval_halfwidth(ratios: np.ndarray, confidence: float = 0.95) -> float:
    """Half the width of the median's interval."""
    low, high = median_interval(ratios, confidence)
    return (high - low) / 2


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """torch with so many threads, as a run's process has it; then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
