"""How fast the compact network is beside the dense one, on one device."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn

from msbench.sparsity.compaction import fold_batchnorm

_SHORTEST_S = 0.005
"""A timing covers at least this long, by repeating fast forwards: far above the clock's grain."""
_STABLE = 0.1
_FEWEST_ROUNDS = 7
"""Fewer give no 95 % interval of a median: 2 * 0.5^n must be at most 0.05, with one round to spare."""
_NOISY = 0.2


@dataclass(frozen=True)
class Latency:
    """Dense against compact in alternating rounds.

    ratio, q25, q75: median and quartiles over rounds of dense time / compact time. dense_s, compact_s: median
    seconds a forward. size: height and width. load: the machine's load average when measuring began (None
    where the system has none). noisy: whether the ratio's interquartile range exceeds 20 % of its median.
    """

    device: str
    ratio: float
    q25: float
    q75: float
    dense_s: float
    compact_s: float
    rounds: int
    threads: int
    batch: int
    size: tuple[int, int]
    dtype: str
    load: float | None
    noisy: bool


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
) -> Latency:
    """Time both networks in eval mode on `image` [B, 3, H, W], one after the other, in one process.

    The dense network's batch-norms are folded first, as the compact network's are: folding needs no sparsity.
    Both warm up until three forwards in a row agree within 10 %, at most `warmup` each. Rounds end when the
    95 % interval of the median ratio is within `precision` of it on either side, or after `rounds` rounds or
    `budget_s` seconds, but not before 7 rounds. Start the process with `allocator_environment()`.
    """
    place = torch.device(device)
    image = image.to(place)
    dense, compact = (copy.deepcopy(network).to(place) for network in (dense, compact))
    networks = [fold_batchnorm(dense, image), compact.eval()]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    with _threads(threads), torch.inference_mode():
        timers = [_Timer(network, image) for network in networks]
        for timer in timers:
            timer.warm_up(warmup)
        times = _alternate(timers, rounds=max(rounds, _FEWEST_ROUNDS), budget_s=budget_s, precision=precision)

    ratios = times[:, 0] / times[:, 1]
    q25, ratio, q75 = np.quantile(ratios, [0.25, 0.5, 0.75])
    dense_s, compact_s = np.median(times, axis=0)
    return Latency(
        device=device if place.type == "cpu" else torch.cuda.get_device_name(place),
        ratio=float(ratio),
        q25=float(q25),
        q75=float(q75),
        dense_s=float(dense_s),
        compact_s=float(compact_s),
        rounds=len(times),
        threads=threads,
        batch=image.shape[0],
        size=(image.shape[2], image.shape[3]),
        dtype=str(image.dtype).removeprefix("torch."),
        load=load,
        noisy=bool(q75 - q25 > _NOISY * ratio),
    )


def allocator_environment() -> dict[str, str]:
    """Variables that the measuring process must be started with: glibc then keeps large blocks instead of
    returning them to the system after every layer, whose page faults otherwise cost more than the layers
    (glibc reads them at start only; other systems ignore them)."""
    return {
        "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
        "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
        "MALLOC_TOP_PAD_": str(256 * 2**20),
    }


def interval_halfwidth(ratios: np.ndarray, confidence: float = 0.95) -> float:
    """Half the width of the median's interval, distribution-free: order statistics by the binomial (Hahn and
    Meeker, 1991, section 5.2). Infinite when there are too few values."""
    count = len(ratios)
    lower = int(binom.ppf((1 - confidence) / 2, count, 0.5)) - 1
    if lower < 0:
        return float("inf")
    ordered = np.sort(ratios)
    return float(ordered[count - 1 - lower] - ordered[lower]) / 2


class _Timer:
    """Seconds a forward of one network on one image."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self.network, self.image, self.repeats = network, image, 1
        self._seconds: Callable[[], float] = self._cuda_seconds if image.is_cuda else self._cpu_seconds

    def seconds(self) -> float:
        return self._seconds() / self.repeats

    def warm_up(self, most: int) -> None:
        recent = [self.seconds()]
        while len(recent) < max(most, 1):
            recent.append(self.seconds())
            last = recent[-3:]
            if len(last) == 3 and max(last) - min(last) <= _STABLE * min(last):
                break
        self.repeats = max(1, round(_SHORTEST_S / min(recent)))

    def _cpu_seconds(self) -> float:
        begin = time.perf_counter()
        for _ in range(self.repeats):
            self.network(self.image)
        return time.perf_counter() - begin

    def _cuda_seconds(self) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.image.device)
        with torch.cuda.device(self.image.device):
            begin.record()
            for _ in range(self.repeats):
                self.network(self.image)
            end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000


def _alternate(timers: list[_Timer], *, rounds: int, budget_s: float, precision: float) -> np.ndarray:
    """Times [round, network]; the order within a round changes from one to the next."""
    times: list[list[float]] = []
    begin = time.perf_counter()
    while len(times) < rounds:
        order = [0, 1] if len(times) % 2 == 0 else [1, 0]
        taken = {index: timers[index].seconds() for index in order}
        times.append([taken[0], taken[1]])
        if len(times) < _FEWEST_ROUNDS:
            continue
        ratios = np.array([dense / compact for dense, compact in times])
        if time.perf_counter() - begin > budget_s or interval_halfwidth(ratios) <= precision * np.median(ratios):
            break
    return np.array(times)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
