"""What each sparsifier adds to a training step, as a share of the plain step of the same run.

A dilated ResNet-50 (the papers' backbone) with three light dense heads is trained for a step; its forward and backward
pass and its fused optimizer step are the plain step. Then every method is driven to the stage where it works (its mask
held, its penalty acting, its thresholds in use), and what it adds to a step there is timed by itself, in rounds that
alternate with the plain parts:

    hooks      what runs before and after the optimizer's step
    optimizer  the optimizer's step under the mask, less the plain one
    weights    the weights in use made from the latent ones, forward and backward

Timing the parts by themselves resolves tenths of a per cent, which the difference of two whole steps does not. Times
are processor time, which other loads on the machine hardly change; read it with --threads 1, since it counts threads
that wait for each other. On a GPU they are wall time between synchronisations. Medians over the rounds.

    python benchmarks/step_overhead.py [--rounds 5] [--threads 1] [--batch 16] [--size 64] [--gpu] [--only NAME,…]

--gpu: batch 16 at 256x256 with bfloat16 autocast. `naive loop` is the named limit: eq. 8 of the meta-sparsity paper as
one writes it first. Exit code 1 when a share exceeds its limit. Meta-training has a benchmark of its own (meta.py).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Never

import torch
from samples import CLASSES, random_samples
from torch import Tensor

from msbench.api import Budget, DepthTask, Equal, Groups, NormalsTask, SegmentationTask, Step, Trainer
from msbench.config import build_part
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import load_plugins
from msbench.selection import build_criterion
from msbench.training.settings import TrainingSettings
from msbench.training.view import View
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.heads.light import LightDense

METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "mask held": ("one_shot", {"criterion": "random"}),
    "mask held, single weights": ("one_shot", {"criterion": "random", "structured": False}),
    "group_lasso": ("group_lasso", {"lam": 1e-2, "steer": 0.0}),
    "group_lasso_adaptive": ("group_lasso", {"prox_metric": "adaptive", "lam": 1e-5, "steer": 0.0}),
    "group_lasso, mcp": ("group_lasso", {"penalty": "mcp", "lam": 1e-2, "steer": 0.0}),
    "group_lasso_adaptive, mcp": (
        "group_lasso",
        {"penalty": "mcp", "prox_metric": "adaptive", "lam": 1e-5, "steer": 0.0},
    ),
    "l1": ("l1", {"lam": 1e-2, "steer": 0.0}),
    "l1_adaptive": ("l1", {"prox_metric": "adaptive", "lam": 1e-5, "steer": 0.0}),
    "adapmtl": ("adapmtl", {}),
    "growing_reg": ("growing_reg", {"criterion": "random", "ceiling": 1e-3}),
    "group_norm": ("group_norm", {"strength": 1e-3}),
    "bn_scale": ("bn_scale", {"lam": 1e-3}),
}
"""Row to sparsifier and parameters. Penalties are so weak that nothing dies: a dead group would be cheaper."""
LIMITS = {
    "mask held": 0.03,
    "mask held, single weights": 0.03,
    "group_lasso": 0.04,
    "group_lasso_adaptive": 0.20,
    "l1": 0.04,
    "adapmtl": 0.10,
}
"""Greatest share of the plain step."""
SAMPLES = 10**9
LEARNING_RATE = 1e-4


@dataclass
class Clock:
    """Seconds of a piece of work: of the processor, or of a GPU by the wall."""

    gpu: bool

    def time(self, work: Callable[[], object]) -> float:
        if self.gpu:
            torch.cuda.synchronize()
        start = self._now()
        work()
        if self.gpu:
            torch.cuda.synchronize()
        return self._now() - start

    def _now(self) -> float:
        return time.perf_counter() if self.gpu else time.process_time()


class StageError(Exception):
    """Ends a sparsifier's script at the stage that is measured."""


@dataclass
class Stage:
    """What a sparsifier does around a step, from the first stage in which it does anything."""

    trainer: Trainer
    hooks: dict[str, Any] = field(default_factory=dict)

    def reach(self, sparsifier: Any) -> None:
        """Run the script up to that stage; stages before it are skipped."""

        def train(**asked: Any) -> None:
            self.hooks = {name: asked[name] for name in ("before_step", "after_step") if asked.get(name)}
            if self.hooks or self.trainer.mask is not None or type(self.trainer.view) is not View:
                raise StageError

        self.trainer.train = train  # type: ignore[method-assign]
        try:
            sparsifier.sparsify(self.trainer)
        except StageError:
            return
        raise ValueError(f"{sparsifier}: it does nothing around a step")

    def hook(self, index: int) -> None:
        """Its hooks, in the middle of a stage."""
        for hook in self.hooks.values():
            hook(Step(index + 1, False, LEARNING_RATE))

    def weights(self) -> None:
        """The weights in use and their gradients, where they are not the trained ones."""
        if type(self.trainer.view) is View:
            return
        latent = dict(self.trainer.model.named_parameters())
        used = self.trainer.view.weights(dict(latent))
        changed = [name for name, weight in used.items() if weight is not latent[name]]
        torch.autograd.backward([used[name] for name in changed], [latent[name].grad for name in changed])


class Bench:
    """One network, its gradients, and the parts of a step on it."""

    def __init__(self, batch: int, size: int, clock: Clock) -> None:
        self.clock, self.batch = clock, batch
        self.plugins = load_plugins()
        self.device = torch.device("cuda" if clock.gpu else "cpu")
        torch.manual_seed(0)
        self.tasks = (SegmentationTask(classes=tuple(f"class {k}" for k in range(CLASSES))), DepthTask(), NormalsTask())
        backbone = ResNet(depth=50, stem="papers").build()
        heads = {task.name: LightDense(width=48).build(backbone, task.channels) for task in self.tasks}
        model = MultiTaskModel(backbone, heads, heads).to(self.device)
        self.model: MultiTaskModel = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.samples = random_samples(batch, size)
        self.start = {name: value.clone() for name, value in self.model.state_dict().items()}

    def trainer(self) -> Trainer:
        """A fresh trainer on the same network and weights; the optimizer has its moments."""
        gradients = [parameter.grad for parameter in self.model.parameters()]
        self.model.load_state_dict(self.start)
        trainer = Trainer(
            model=self.model,
            tasks=self.tasks,
            budget=Budget("share", "backbone", Groups.of(self.model), 0.5),
            settings=TrainingSettings(
                samples=SAMPLES, batch=self.batch, lr=LEARNING_RATE, evaluations=1, flip=False, amp=self.clock.gpu
            ),
            balancer=Equal([task.name for task in self.tasks]).to(self.device),
            criterion=lambda text: build_criterion(self.plugins, text),
            saved_mask=_none,
            train_samples=self.samples,
            validation_samples=self.samples,
            loss_floor={task.name: 1.0 for task in self.tasks},
            device=self.device,
            seed=0,
        )
        for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        if gradients[0] is not None:
            trainer.optimizer.step(LEARNING_RATE)
        return trainer

    def plain(self, rounds: int) -> tuple[float, float]:
        """Seconds of the forward and backward pass, and of the optimizer's step."""
        trainer = self.trainer()
        passes, steps = [], []
        for _ in range(rounds + 1):  # the first is the warm-up
            passes.append(self.clock.time(lambda: trainer.backward(trainer.next_batch())))
            steps.append(self.clock.time(lambda: trainer.optimizer.step(LEARNING_RATE)))
        return statistics.median(passes[1:]), statistics.median(steps[1:])

    def added(self, name: str, rounds: int) -> dict[str, float]:
        """Seconds that a method adds to a step, by part."""
        base, params = METHODS[name]
        stage = Stage(self.trainer())
        stage.reach(build_part(self.plugins.get("sparsifier", base), params))
        plain = stage.trainer.optimizer
        stage.trainer.restart_optimizer()
        masked = stage.trainer.optimizer
        times: dict[str, list[float]] = {"hooks": [], "optimizer": [], "weights": []}
        for index in range(rounds + 1):
            times["hooks"].append(self.clock.time(lambda index=index: stage.hook(index)))  # type: ignore[misc]
            times["weights"].append(self.clock.time(stage.weights))
            held, plain._held = plain._held, []
            unmasked = self.clock.time(lambda: plain.step(LEARNING_RATE))
            plain._held = held
            times["optimizer"].append(self.clock.time(lambda: masked.step(LEARNING_RATE)) - unmasked)
        return {part: statistics.median(values[1:]) for part, values in times.items()}

    def naive(self, rounds: int) -> dict[str, float]:
        """Eq. 8 as one writes it first: a Python loop over input channels."""
        weights = [weight.detach() for weight in self.trainer().weights.values()]
        return {"hooks": statistics.median(self.clock.time(lambda: naive_loop(weights)) for _ in range(rounds))}


def naive_loop(weights: list[Tensor], threshold: float = 1e-6) -> None:
    """w <- w max(0, 1 - t / ‖w‖) for every group by itself."""
    for weight in weights:
        t = threshold * weight[:, 0].numel() ** 0.5
        for channel in range(weight.shape[1]):
            norm = weight[:, channel].norm()
            weight[:, channel] *= (1 - t / norm).clamp_min(0)


def _none(name: str) -> Never:
    raise KeyError(name)


def main() -> int:
    """Measure every method; 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description="what each sparsifier adds to a training step")
    for name, default in {"rounds": 5, "threads": 1, "batch": 16, "size": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)
    size = asked.size or (256 if asked.gpu else 64)
    bench = Bench(asked.batch, size, Clock(asked.gpu))
    unit = "GPU, wall time" if asked.gpu else f"{asked.threads} threads, processor time"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{unit}; batch {asked.batch}, {size}x{size}, {asked.rounds} rounds, load {load}")
    passes, step = bench.plain(asked.rounds)
    plain = passes + step
    print(f"plain step {1e3 * plain:.1f} ms: passes {1e3 * passes:.1f}, optimizer {1e3 * step:.1f}")
    chosen = [name for name in METHODS if not asked.only or name in asked.only.split(",")]
    found = {name: bench.added(name, asked.rounds) for name in chosen}
    if not asked.only:
        found["naive loop"] = bench.naive(min(asked.rounds, 2))
    missed = report(found, plain)
    print(f"limit exceeded: {', '.join(missed)}" if missed else "within the limits")
    return int(bool(missed))


def report(found: Mapping[str, Mapping[str, float]], plain: float) -> list[str]:
    """Print a row for each method; returns those beyond their limit."""
    print(f"{'':28}{'hooks':>10}{'optimizer':>11}{'weights':>9}{'added':>9}{'limit':>8}")
    missed = []
    for name, parts in found.items():
        share = sum(parts.values()) / plain
        columns = [1e3 * parts.get(part, 0.0) for part in ("hooks", "optimizer", "weights")]
        limit = LIMITS.get(name)
        text = f"{limit:8.0%}" if limit is not None else ""
        print(f"{name:28}{columns[0]:7.1f} ms{columns[1]:8.1f} ms{columns[2]:6.1f} ms{share:9.1%}{text}")
        if limit is not None and share > limit:
            missed.append(name)
    return missed


if __name__ == "__main__":
    sys.exit(main())
