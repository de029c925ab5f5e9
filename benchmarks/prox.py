"""What the proximal step costs, as a share of the training step that it belongs to.

Training step (forward, backward, fused AdamW) of a dilated ResNet-50 with three light dense heads, then each
operator on its 23.5 million backbone weights, in turn, in one process. The naive loop over input channels is the
named limit. A share is the median over rounds of (operator / the step of the same round), so that another load on
the machine hits both sides; `best` is the ratio of the fastest times.

    python -m benchmarks.prox [--rounds 15] [--threads 2] [--batch 8] [--size 64]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench._torchvision import import_torchvision
from msbench.sparsity.prox import AdaptiveProx, group_norms, prox_euclidean, prox_l1

LEARNING_RATE = 1e-4
EUCLIDEAN, ADAPTIVE = 1e-2 * LEARNING_RATE, 1e-5 * LEARNING_RATE
"""lr * λ, so small that no group dies: a dead group would be cheaper, and the network must stay alive."""


class Network(nn.Module):
    """Dilated ResNet-50 (output stride 8) and three heads of 1x1, 3x3 and 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        models = import_torchvision().models
        trunk = models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
        self.backbone = nn.Sequential(*list(trunk.children())[:-2])
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2048, 48, 1), nn.ReLU(), nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, c, 1)
            )
            for c in (13, 1, 3)
        )

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone(image)
        outputs = [F.interpolate(head(features), size=image.shape[-2:], mode="bilinear") for head in self.heads]
        return sum((output.square().mean() for output in outputs), start=image.new_zeros(()))


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
    adaptive = AdaptiveProx()

    def cold() -> None:
        AdaptiveProx()(plain, moments, ADAPTIVE)

    return {
        "training step": step,
        "prox_euclidean": lambda: prox_euclidean(plain, EUCLIDEAN),
        "AdaptiveProx": lambda: adaptive(plain, moments, ADAPTIVE),
        "AdaptiveProx, first call": cold,
        "prox_l1": lambda: prox_l1(plain, EUCLIDEAN),
        "group_norms": lambda: [group_norms(weight) for weight in plain],
        "naive loop": lambda: naive(plain, EUCLIDEAN),
    }


def main() -> None:
    """Print one line for each operator."""
    parser = argparse.ArgumentParser(description="cost of the proximal operators")
    for name, default in {"rounds": 15, "threads": 2, "batch": 8, "size": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    measured = operators(options.batch, options.size)
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(options.rounds):
        for name, run in measured.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)

    steps = seconds["training step"]
    print(f"{options.threads} threads, batch {options.batch}, {options.size}x{options.size}, {options.rounds} rounds")
    print(f"{'':26}{'median ms':>10}{'best ms':>10}{'% of step':>11}{'best %':>9}")
    for name, times in seconds.items():
        share = statistics.median(time / step for time, step in zip(times, steps, strict=True))
        best = min(times) / min(steps)
        print(f"{name:26}{1e3 * statistics.median(times):10.1f}{1e3 * min(times):10.1f}{share:11.1%}{best:9.1%}")


if __name__ == "__main__":
    main()
