"""What the proximal step costs, as a share of the training step that it belongs to.

Training step (forward, backward, fused AdamW) of a dilated ResNet-50 with three light dense heads, then each
operator on its 23.5 million backbone weights, in turn, in one process. The naive loop over input channels is the
named limit. `wall` is the median over rounds of operator / step of the same round, so that another load on the
machine hits both sides; `best` the ratio of the fastest times; `cpu` the ratio of the median processor times, which
hardly depends on other loads but counts threads that wait for each other: read it with --threads 1.

    python benchmarks/prox.py [--rounds 15] [--threads 2] [--batch 8] [--size 64]

Exit code 1 when the wall share of an operator exceeds its limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.sparsity.prox import (
    AdaptiveMCP,
    AdaptiveProx,
    group_norms,
    prox_euclidean,
    prox_l1,
    prox_l1_adaptive,
    prox_mcp,
)
from msbench_plugins.backbones.resnet import ResNet

LEARNING_RATE = 1e-4
EUCLIDEAN, ADAPTIVE = 1e-2 * LEARNING_RATE, 1e-5 * LEARNING_RATE
"""lr * λ, so small that no group dies: a dead group would be cheaper, and the network must stay alive."""

CONCAVITY = {"prox_mcp": 1e-7, "AdaptiveMCP": 1e-9}
"""lr / γ, so small that every group is shrunk: one that is left alone would be cheaper."""

LIMITS = {"prox_euclidean": 0.06, "AdaptiveProx": 0.40}
"""Greatest share of a training step. The naive loop takes 0.7 to 0.8."""


class Network(nn.Module):
    """Dilated ResNet-50 (output stride 8) and three heads of 1x1, 3x3 and 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(depth=50).build()
        self.heads = nn.ModuleList(_head(self.backbone.channels[-1], channels) for channels in (13, 1, 3))

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone(image)[-1]
        outputs = [F.interpolate(head(features), size=image.shape[-2:], mode="bilinear") for head in self.heads]
        return sum((output.square().mean() for output in outputs), start=image.new_zeros(()))


def _head(features: int, channels: int) -> nn.Module:
    project, mix = nn.Conv2d(features, 48, 1), nn.Conv2d(48, 48, 3, padding=1)
    return nn.Sequential(project, nn.ReLU(), mix, nn.ReLU(), nn.Conv2d(48, channels, 1))


def naive(weights: list[Tensor], threshold: float) -> None:
    """Eq. 8 as one writes it first: a Python loop over input channels."""
    for weight in weights:
        t = threshold * weight[:, 0].numel() ** 0.5
        for channel in range(weight.shape[1]):
            norm = weight[:, channel].norm()
            weight[:, channel] *= (1 - t / norm).clamp_min(0)


def operators(batch: int, size: int) -> dict[str, Callable[[], object]]:
    """Name to one repetition; the first is the training step."""
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=True)
    image = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))

    def step() -> None:
        optimizer.zero_grad()
        network(image).backward()
        optimizer.step()

    step()
    weights = [module.weight for module in network.backbone.modules() if isinstance(module, nn.Conv2d)]
    plain = [weight.detach() for weight in weights]
    moments = [optimizer.state[weight]["exp_avg_sq"] for weight in weights]
    adaptive, adaptive_mcp = AdaptiveProx(), AdaptiveMCP()

    def cold() -> None:
        AdaptiveProx()(plain, moments, ADAPTIVE)

    return {
        "training step": step,
        "prox_euclidean": lambda: prox_euclidean(plain, EUCLIDEAN),
        "AdaptiveProx": lambda: adaptive(plain, moments, ADAPTIVE),
        "AdaptiveProx, first call": cold,
        "prox_mcp": lambda: prox_mcp(plain, EUCLIDEAN, CONCAVITY["prox_mcp"]),
        "AdaptiveMCP": lambda: adaptive_mcp(plain, moments, ADAPTIVE, CONCAVITY["AdaptiveMCP"]),
        "prox_l1": lambda: prox_l1(plain, EUCLIDEAN),
        "prox_l1_adaptive": lambda: prox_l1_adaptive(plain, moments, ADAPTIVE),
        "group_norms": lambda: [group_norms(weight) for weight in plain],
        "naive loop": lambda: naive(plain, EUCLIDEAN),
    }


def main() -> int:
    """Measure in alternating rounds; 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description="cost of the proximal operators")
    for name, default in {"rounds": 15, "threads": 2, "batch": 8, "size": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    measured = operators(options.batch, options.size)
    wall: dict[str, list[float]] = {name: [] for name in measured}
    cpu: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(options.rounds):
        for name, run in measured.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
    print(f"{options.threads} threads, batch {options.batch}, {options.size}x{options.size}, {options.rounds} rounds")
    shares = report(wall, cpu)
    missed = [name for name, limit in LIMITS.items() if shares[name] > limit]
    print(f"limit exceeded: {', '.join(missed)}" if missed else "within the limits")
    return int(bool(missed))


def report(wall: dict[str, list[float]], cpu: dict[str, list[float]]) -> dict[str, float]:
    """Print times and shares of the first entry, the training step; returns the wall shares."""
    shares = {}
    steps, cpu_step = next(iter(wall.values())), statistics.median(next(iter(cpu.values())))
    print(f"{'':26}{'median ms':>10}{'best ms':>10}{'cpu ms':>10}{'wall':>9}{'best':>9}{'cpu':>9}")
    for name, times in wall.items():
        shares[name] = statistics.median(time / step for time, step in zip(times, steps, strict=True))
        processor = statistics.median(cpu[name])
        columns = 1e3 * statistics.median(times), 1e3 * min(times), 1e3 * processor
        parts = shares[name], min(times) / min(steps), processor / cpu_step
        print(f"{name:26}" + "".join(f"{c:10.1f}" for c in columns) + "".join(f"{p:9.1%}" for p in parts))
    return shares


if __name__ == "__main__":
    sys.exit(main())
