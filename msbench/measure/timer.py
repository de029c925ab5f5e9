"""Seconds a forward takes: on a CPU by the clock, on a GPU by events, or replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from msbench.measure.noise import Clock, SystemClock

SHORTEST_S = 0.005
"""A timing covers at least this long, by repeating fast forwards: far above the clock's grain."""
_STABLE = 0.1


@dataclass
class Timer:
    """Times `network` on `image`; `spent` collects (processor, wall) seconds of each timing on a CPU."""

    network: Callable[[Tensor], object]
    image: Tensor
    clock: Clock = field(default_factory=SystemClock)
    shortest_s: float = SHORTEST_S
    repeats: int = 1
    spent: list[tuple[float, float]] = field(default_factory=list)

    def seconds(self) -> float:
        """Seconds a forward, from as many as `repeats`."""
        total = self._cuda_seconds() if self.image.is_cuda else self._cpu_seconds()
        return total / self.repeats

    def warm_up(self, most: int) -> None:
        """Forward until three timings in a row agree within 10 %, at most `most`; then choose `repeats`."""
        recent = [self.seconds()]
        while len(recent) < max(most, 1):
            recent.append(self.seconds())
            last = recent[-3:]
            if len(last) == 3 and max(last) - min(last) <= _STABLE * min(last):
                break
        self.repeats = max(1, round(self.shortest_s / max(min(recent), 1e-9)))
        self.spent.clear()

    def _cpu_seconds(self) -> float:
        cpu, begin = self.clock.cpu(), self.clock.wall()
        for _ in range(self.repeats):
            self.network(self.image)
        wall = self.clock.wall() - begin
        self.spent.append((self.clock.cpu() - cpu, wall))
        return wall

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


def graphed(network: Callable[[Tensor], object], image: Tensor) -> Callable[[Tensor], object]:
    """`network` on `image`, captured as a CUDA graph; each call replays it. Raises what the capture raises.

    Nothing is left of the launches: what the GPU itself needs.
    """
    side = torch.cuda.Stream(image.device)
    side.wait_stream(torch.cuda.current_stream(image.device))
    with torch.cuda.stream(side):
        for _ in range(3):
            network(image)
    torch.cuda.current_stream(image.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(image)

    def replay(_: Tensor) -> None:
        graph.replay()

    return replay
