"""What meta-training costs: one outer step of each order against plain training steps on as many samples.

Each order and the plain step have a trainer of their own with the same network: the toy ResNet or a dilated
ResNet-50, with three light dense heads, on random images. An episode has all three tasks, so that both sides do the
same work for a sample. With κ inner steps an outer step takes κ + 1 batches, and is compared with κ + 1 plain steps
of the same round. `wall` is the median of that ratio over alternating rounds, so that another load on the machine
hits both sides; `best` the ratio of the fastest times. `held` is the peak of what graphs keep for their backward
passes, adapted weights included, each storage once: exact, and the same on any machine.

    python benchmarks/meta.py [--rounds 15] [--threads 1] [--batch 8] [--size 32] [--steps 1] [--backbone small]
                              [--device cpu]

Exit code 1 when an order exceeds its limit; limits are for the toy network and one inner step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from msbench.api import Backbone, DepthTask, MetaTraining, NormalsTask, SegmentationTask, TensorSamples, Uncertainty
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.budget import Budget
from msbench.sparsity.groups import Groups
from msbench.training.inner import ORDERS
from msbench.training.settings import TrainingSettings
from msbench.training.trainer import Trainer
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.heads.light import LightDense

LIMITS = {"fomaml": 1.3, "anil": 1.0, "reptile": 1.3, "maml": 2.8}
"""Greatest wall time of an outer step, in plain steps on as many samples."""

CLASSES = 13
SAMPLES = 10**9
"""An allowance that is never used up, nor evaluated on the way."""


class AllTasks(MetaTraining):
    """Every episode has every task."""

    def combinations(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(tasks)]


class Held:
    """Bytes that graphs keep for their backward passes, each storage once: now, and at most."""

    def __init__(self) -> None:
        self._uses: Counter[int] = Counter()
        self._now = self.peak = 0

    def keep(self, tensor: Tensor) -> _Kept:
        return _Kept(tensor, self)

    def count(self, tensor: Tensor, uses: int) -> None:
        storage = tensor.untyped_storage()
        before = self._uses[storage.data_ptr()] > 0
        self._uses[storage.data_ptr()] += uses
        after = self._uses[storage.data_ptr()] > 0
        self._now += (after - before) * storage.nbytes()
        self.peak = max(self.peak, self._now)


class _Kept:
    def __init__(self, tensor: Tensor, held: Held) -> None:
        self.tensor, self._held = tensor, held
        held.count(tensor, 1)

    def __del__(self) -> None:
        self._held.count(self.tensor, -1)


def trainer(backbone: Backbone, batch: int, size: int, device: str) -> Trainer:
    """A trainer on random images, with tasks that need segmentation, depth and normals."""
    torch.manual_seed(0)
    tasks = (SegmentationTask(classes=tuple(f"class {k}" for k in range(CLASSES))), DepthTask(), NormalsTask())
    built = backbone.build()
    heads = {task.name: LightDense().build(built, task.channels) for task in tasks}
    model = MultiTaskModel(built, heads, [task.name for task in tasks]).to(device)
    shape = (4 * batch, size, size)
    normals = torch.nn.functional.normalize(torch.randn(4 * batch, 3, size, size), dim=1)
    target = {"segmentation": torch.randint(0, CLASSES, shape), "depth": 1 + torch.rand(shape), "normals": normals}
    image = torch.randint(0, 255, (4 * batch, 3, size, size), dtype=torch.uint8)
    samples = TensorSamples(image, target, dict.fromkeys(target, torch.ones(shape, dtype=torch.bool)))
    return Trainer(
        model=model,
        tasks=tasks,
        budget=Budget("natural", "backbone", Groups.of(model), None),
        settings=TrainingSettings(samples=SAMPLES, batch=batch, evaluations=1, flip=False),
        balancer=Uncertainty([task.name for task in tasks]).to(device),
        criterion=_none,
        saved_mask=_none,
        train_samples=samples,
        validation_samples=samples,
        loss_floor=dict.fromkeys(target, 1.0),
        device=torch.device(device),
        seed=0,
    )


def _none(text: str) -> object:
    raise LookupError(text)


def runs(backbone: Backbone, batch: int, size: int, steps: int, device: str) -> dict[str, Callable[[], None]]:
    """Name to one repetition over (steps + 1) * batch samples; the first is plain training."""
    plain = trainer(backbone, batch, size, device)
    found: dict[str, Callable[[], None]] = {"plain": lambda: plain.train(steps=steps + 1)}
    for order in ORDERS:
        own, meta = trainer(backbone, batch, size, device), AllTasks(steps, 1e-3, order=order)
        share = meta.samples_a_step(own) / SAMPLES
        found[order] = lambda own=own, meta=meta, share=share: own.meta_train(meta, share=share)  # type: ignore[misc]
    return found


def main() -> int:
    """Measure in alternating rounds; 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description="cost of meta-training")
    for name, default in {"rounds": 15, "threads": 1, "batch": 8, "size": 32, "steps": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--backbone", choices=["small", "resnet50"], default="small")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    chosen = ResNet(depth=50, stem="papers") if options.backbone == "resnet50" else SmallResNet()

    measured = runs(chosen, options.batch, options.size, options.steps, options.device)
    held = {name: _held(run) for name, run in measured.items()}  # also the warm-up
    wall: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(options.rounds):
        for name, run in measured.items():
            start = time.perf_counter()
            run()
            if options.device != "cpu":
                torch.cuda.synchronize()
            wall[name].append(time.perf_counter() - start)
    print(f"{vars(options)}: {options.steps + 1} batches each")
    ratios = report(wall, held)
    limits = LIMITS if (options.backbone, options.steps) == ("small", 1) else {}
    missed = [name for name, limit in limits.items() if ratios[name] > limit]
    if limits:
        print(f"limit exceeded: {', '.join(missed)}" if missed else "within the limits")
    return int(bool(missed))


def _held(run: Callable[[], None]) -> int:
    held = Held()
    with torch.autograd.graph.saved_tensors_hooks(held.keep, lambda kept: kept.tensor):
        run()
    return held.peak


def report(wall: dict[str, list[float]], held: dict[str, int]) -> dict[str, float]:
    """Print times, what graphs hold and the ratios to plain training; returns the wall ratios."""
    plain, plain_held = wall["plain"], held["plain"]
    ratios = {}
    print(f"{'':10}{'median ms':>10}{'best ms':>10}{'wall':>8}{'best':>8}{'held MB':>10}{'held':>8}")
    for name, times in wall.items():
        ratios[name] = statistics.median(time / base for time, base in zip(times, plain, strict=True))
        line = f"{name:10}{1e3 * statistics.median(times):10.1f}{1e3 * min(times):10.1f}"
        line += (
            f"{ratios[name]:8.2f}{min(times) / min(plain):8.2f}{held[name] / 1e6:10.1f}{held[name] / plain_held:8.2f}"
        )
        print(line)
    return ratios


if __name__ == "__main__":
    sys.exit(main())
