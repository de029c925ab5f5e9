"""What AdapMTL's soft thresholds cost: its training step beside the plain one.

Two trainers with the same dilated ResNet-50, three light dense heads, initial weights and random data, stepped in turn
in one process: one trains plainly, one with AdapMTL's view, adaptive loss weights and learning of the thresholds over
the whole model. `counting` is a step that also counts zeros and steers, which happens every 1/200 of the stage. `wall`
is the median over rounds of the step / the plain step of the same round, so that another load on the machine hits both
sides; `cpu` the ratio of the median processor times.

    python benchmarks/adapmtl.py [--rounds 15] [--threads 2] [--batch 8] [--size 64]

Exit code 1 when the wall ratio of a step without counting exceeds its limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Never

import torch

from msbench.api import (
    Budget,
    DepthTask,
    Equal,
    Groups,
    NormalsTask,
    SegmentationTask,
    Step,
    Task,
    TensorSamples,
    Trainer,
)
from msbench.models.multitask import MultiTaskModel
from msbench.training.settings import TrainingSettings
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.heads.light import LightDense
from msbench_plugins.sparsifiers.adapmtl_parts.learning import ThresholdLearning
from msbench_plugins.sparsifiers.adapmtl_parts.thresholds import SoftThresholds
from msbench_plugins.sparsifiers.adapmtl_parts.weighting import AdaptiveWeights

LIMIT = 1.25
"""Greatest ratio of a step to the plain step. By processor time it is 1.07; the rest is room for a loaded machine."""
STEPS = 10_000


def tasks() -> tuple[Task, ...]:
    """Thirteen classes, normals and depth."""
    return SegmentationTask(classes=tuple(f"class{i}" for i in range(13))), NormalsTask(), DepthTask()


def samples(count: int, size: int) -> TensorSamples:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    target = {
        "segmentation": torch.randint(0, 13, (count, size, size), dtype=torch.uint8, generator=generator),
        "normals": torch.nn.functional.normalize(torch.randn(count, 3, size, size, generator=generator), dim=1),
        "depth": torch.rand(count, size, size, generator=generator) + 0.5,
    }
    valid = torch.ones(count, size, size, dtype=torch.bool)
    return TensorSamples(image, target, dict.fromkeys(target, valid))


def build_trainer(batch: int, size: int) -> Trainer:
    """A trainer whose budget counts the whole model, with a target so high that it is never met here."""
    torch.manual_seed(0)
    backbone = ResNet(depth=50).build()
    heads = {task.name: LightDense(width=48).build(backbone, task.channels) for task in tasks()}
    model = MultiTaskModel(backbone, heads, heads)
    data = samples(4 * batch, size)
    return Trainer(
        model=model,
        tasks=tasks(),
        budget=Budget("share", "model", Groups.of(model, "model"), 0.99),
        settings=TrainingSettings(samples=batch * STEPS * 100, batch=batch, evaluations=1),
        balancer=Equal([task.name for task in tasks()]),
        criterion=_none,
        saved_mask=_none,
        train_samples=data,
        validation_samples=data,
        loss_floor={task.name: 1.0 for task in tasks()},
        device=torch.device("cpu"),
        seed=0,
    )


def _none(name: str) -> Never:
    raise KeyError(name)


def operators(batch: int, size: int) -> dict[str, Callable[[], object]]:
    """Name to one repetition; the first is the plain training step."""
    plain, sparse = build_trainer(batch, size), build_trainer(batch, size)
    thresholds = SoftThresholds(sparse, "component", "threshold", False, None)
    learning = ThresholdLearning(sparse, thresholds, STEPS, decay=1e-3, steer=10.0)
    objective = AdaptiveWeights("paper", 400, 1.0, sparse)
    sparse.view = thresholds

    def step(last: bool) -> None:
        sparse.train(steps=1, objective=objective, after_step=lambda s: learning.step(Step(0, last, s.lr)))

    return {
        "plain step": lambda: plain.train(steps=1),
        "AdapMTL": lambda: step(last=False),
        "AdapMTL, counting": lambda: step(last=True),
    }


def main() -> int:
    """Measure in alternating rounds; 1 when the limit is exceeded."""
    parser = argparse.ArgumentParser(description="cost of AdapMTL's training step")
    for name, default in {"rounds": 15, "threads": 2, "batch": 8, "size": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    measured = operators(options.batch, options.size)
    wall: dict[str, list[float]] = {name: [] for name in measured}
    cpu: dict[str, list[float]] = {name: [] for name in measured}
    for run in measured.values():
        run()
    for _ in range(options.rounds):
        for name, run in measured.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
    print(f"{options.threads} threads, batch {options.batch}, {options.size}x{options.size}, {options.rounds} rounds")
    ratios = report(wall, cpu)
    exceeded = ratios["AdapMTL"] > LIMIT
    print(f"limit {LIMIT} exceeded" if exceeded else f"within the limit {LIMIT}")
    return int(exceeded)


def report(wall: dict[str, list[float]], cpu: dict[str, list[float]]) -> dict[str, float]:
    """Print times and ratios to the first entry, the plain step; returns the wall ratios."""
    ratios = {}
    steps, cpu_step = next(iter(wall.values())), statistics.median(next(iter(cpu.values())))
    print(f"{'':20}{'median ms':>10}{'cpu ms':>10}{'wall':>8}{'cpu':>8}")
    for name, times in wall.items():
        ratios[name] = statistics.median(time / step for time, step in zip(times, steps, strict=True))
        processor = statistics.median(cpu[name])
        columns = 1e3 * statistics.median(times), 1e3 * processor
        print(f"{name:20}{columns[0]:10.1f}{columns[1]:10.1f}{ratios[name]:8.3f}{processor / cpu_step:8.3f}")
    return ratios


if __name__ == "__main__":
    sys.exit(main())
