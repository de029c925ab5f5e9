"""What msbench's training loop costs: a plain step against a bare PyTorch loop with the same parts.

All loops train the same kind of network (the default small ResNet, or the papers' ResNet-50) with three light heads,
from the same weights on the same random data (no mirroring), with the same losses and the same fused AdamW:

    msbench  trainer.train: stream, allowance, losses, balancer, backward, optimizer, history, validation when due
    bare     the least that trains: permuted indices, forward, losses, their sum, backward, optimizer
    LibMTL   the shape of LibMTL's Trainer.train, written here, not LibMTL itself: forward, each task's loss into
             one vector of losses and into a meter (a number, so that the loop waits for it), equal weights, backward,
             optimizer, and each task's metrics updated on the training batch

Processor time in alternating rounds, so that another load on the machine hits all alike; medians over the rounds of
loop / bare of the same round.

    python benchmarks/trainer_overhead.py [--rounds 15] [--steps 4] [--threads 1] [--batch 8] [--size 64]
                                          [--backbone small]

Exit code 1 when msbench exceeds its limit over the bare loop.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Never

import torch
from samples import CLASSES, random_samples
from torch import Tensor, nn

from msbench.api import Budget, DepthTask, Equal, Groups, NormalsTask, SegmentationTask, Task, TensorSamples, Trainer
from msbench.data.dataset import Batch
from msbench.models.multitask import MultiTaskModel
from msbench.training.settings import TrainingSettings
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.heads.light import LightDense

LIMIT = 1.02
"""Greatest processor time of a step of msbench, in steps of the bare loop."""
SAMPLES, LEARNING_RATE = 10**9, 1e-3
TASKS: tuple[Task, ...] = (
    SegmentationTask(classes=tuple(f"class {k}" for k in range(CLASSES))),
    DepthTask(),
    NormalsTask(),
)


def network(backbone: str) -> MultiTaskModel:
    """The network, with the same weights each time."""
    torch.manual_seed(0)
    built = (ResNet(depth=50, stem="papers") if backbone == "resnet50" else SmallResNet()).build()
    heads = {task.name: LightDense().build(built, task.channels) for task in TASKS}
    model: MultiTaskModel = MultiTaskModel(built, heads, heads).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def trainer(model: MultiTaskModel, data: TensorSamples, batch: int) -> Trainer:
    """msbench's own, which never evaluates here."""
    names = [task.name for task in TASKS]
    return Trainer(
        model=model,
        tasks=TASKS,
        budget=Budget("natural", "backbone", Groups.of(model), None),
        settings=TrainingSettings(samples=SAMPLES, batch=batch, lr=LEARNING_RATE, evaluations=1, flip=False),
        balancer=Equal(names),
        criterion=_none,
        saved_mask=_none,
        train_samples=data,
        validation_samples=data,
        loss_floor=dict.fromkeys(names, 1.0),
        device=torch.device("cpu"),
        seed=0,
    )


def _none(name: str) -> Never:
    raise KeyError(name)


def batches(data: TensorSamples, size: int) -> Iterator[Batch]:
    """Endless shuffled epochs."""
    while True:
        for indices in torch.randperm(len(data)).split(size):
            if len(indices) == size:
                yield data.batch(indices)


def task_losses(model: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Outputs, and each task's loss."""
    outputs = model(batch.image)
    return outputs, [task.loss(outputs[task.name], batch.target[task.name], batch.valid[task.name]) for task in TASKS]


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """Fused AdamW with decay on weights alone, as msbench's."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 1e-3},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)


def bare_loop(model: nn.Module, data: TensorSamples, size: int) -> Callable[[int], None]:
    """The least that trains."""
    optimizer, stream = optimizer_of(model), batches(data, size)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            _, losses = task_losses(model, next(stream))
            torch.stack(losses).sum().backward()
            optimizer.step()

    return run


def libmtl_loop(model: nn.Module, data: TensorSamples, size: int) -> Callable[[int], None]:
    """LibMTL's loop: losses into meters as numbers, metrics of every training batch."""
    optimizer, stream = optimizer_of(model), batches(data, size)
    evaluators = {task.name: task.evaluator() for task in TASKS}
    meters = dict.fromkeys(evaluators, 0.0)

    def run(steps: int) -> None:
        for _ in range(steps):
            batch = next(stream)
            outputs, found = task_losses(model, batch)
            losses = torch.zeros(len(TASKS))
            for index, (task, loss) in enumerate(zip(TASKS, found, strict=True)):
                losses[index] = loss
                meters[task.name] += loss.item() * len(batch)
            optimizer.zero_grad(set_to_none=False)
            torch.mul(losses, torch.ones_like(losses)).sum().backward()
            optimizer.step()
            with torch.no_grad():
                for task in TASKS:
                    name = task.name
                    evaluators[name].update(outputs[name].detach(), batch.target[name], batch.valid[name])

    return run


def main() -> int:
    """Measure in alternating rounds; 1 when the limit is exceeded."""
    parser = argparse.ArgumentParser(description="cost of msbench's training loop")
    for name, default in {"rounds": 15, "steps": 4, "threads": 1, "batch": 8, "size": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--backbone", choices=["small", "resnet50"], default="small")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)

    data = random_samples(16 * asked.batch, asked.size)
    own = trainer(network(asked.backbone), data, asked.batch)
    loops: dict[str, Callable[[int], None]] = {
        "bare": bare_loop(network(asked.backbone), data, asked.batch),
        "msbench": lambda steps: own.train(steps=steps),
        "LibMTL": libmtl_loop(network(asked.backbone), data, asked.batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for index in range(asked.rounds + 1):
        for name, loop in loops.items():
            start = time.process_time()
            loop(asked.steps)
            if index > 0:  # the first is the warm-up
                seconds[name].append((time.process_time() - start) / asked.steps)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{asked.backbone}, {asked.threads} threads, batch {asked.batch}, {asked.size}x{asked.size}, "
        f"{asked.rounds} rounds of {asked.steps} steps, processor time, load {load}"
    )
    ratios = {}
    for name, times in seconds.items():
        parts = [time / base for time, base in zip(times, seconds["bare"], strict=True)]
        low, ratios[name], high = statistics.quantiles(parts, n=4)
        print(f"{name:8}{1e3 * statistics.median(times):9.2f} ms{ratios[name]:8.3f}  ({low:.3f} to {high:.3f})")
    exceeded = ratios["msbench"] > LIMIT
    print(f"limit {LIMIT} exceeded" if exceeded else f"within the limit {LIMIT}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
