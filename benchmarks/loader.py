"""How fast packed samples are read: beside what training consumes, and beside decoding files for every batch.

A folder of pictures with segmentation, depth and normals is fabricated and packed. Then, in turn and with one thread:
batches from the packed arrays as training reads them (shuffled, mirrored at random), the same batches decoded from
their PNG and .npy files, and training steps of the quick model on batches that are in memory. Everything is in the
page cache, as it is from the second epoch on. `images/s` is the median over rounds, a ratio the median of the rounds'
ratios, so that another load on the machine hits both sides.

    python benchmarks/loader.py [--rounds 11] [--batch 8] [--count 192] [--gpu]

With --gpu, and a CUDA device, also what the papers' network (dilated ResNet-50, bfloat16) consumes there at 256x256.
Exit code 1 when the packed arrays give less than the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Never

import numpy as np
import torch
from PIL import Image
from torch import nn

from msbench.api import Batch, Budget, Equal, Groups, Task, TensorSamples, Trainer
from msbench.data.dataset import Samples
from msbench.models.multitask import MultiTaskModel
from msbench.training.settings import TrainingSettings
from msbench.training.stream import Stream
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.datasets.folder import Folder
from msbench_plugins.heads.light import LightDense

LIMIT = 20.0
"""Least ratio of what one thread reads at 64x64 to what the quick model consumes with one thread."""
SIZES = (64, 256)
READ = "packed arrays"
FILES = "files decoded each time"
TRAIN = "quick model, training"


def draw(root: Path, count: int, size: int) -> None:
    """Pictures of a few soft shapes with sensor noise, which compress about as well as photographs."""
    generator = np.random.default_rng(0)
    for kind in ("images", "segmentation", "depth", "normals"):
        (root / "train" / kind).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(f"class {number}" for number in range(13)) + "\n")
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((size, size))
        noisy = np.asarray(coarse, np.float32) + generator.normal(0, 4, (size, size, 3))
        name = f"{number:05}"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / "train" / "images" / f"{name}.png")
        blocks = Image.fromarray(generator.integers(0, 13, (6, 6), dtype=np.uint8))
        blocks.resize((size, size), Image.Resampling.NEAREST).save(root / "train" / "segmentation" / f"{name}.png")
        np.save(root / "train" / "depth" / f"{name}.npy", 1 + noisy[..., 0].clip(0, 255).astype(np.float32) / 50)
        normals = np.dstack([noisy[..., :2] / 255 - 0.5, np.ones((size, size))]).astype(np.float32)
        np.save(root / "train" / "normals" / f"{name}.npy", normals)


class DecodedSamples(Samples):
    """The same samples from their files, each time anew, as a loader without a cache reads them."""

    def __init__(self, dataset: Folder) -> None:
        self._dataset, self._items = dataset, dataset.index(Path(dataset.root))["train"]

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, indices: torch.Tensor) -> Batch:
        found = [self._dataset.decode(self._items[index]) for index in indices.tolist()]
        target = {name: torch.stack([sample.target[name] for sample in found]) for name in found[0].target}
        valid = {name: torch.stack([sample.valid[name] for sample in found]) for name in found[0].valid}
        stacked = TensorSamples(torch.stack([sample.image for sample in found]), target, valid)
        return stacked.batch(torch.arange(len(found)))


def reader(samples: Samples, tasks: tuple[Task, ...], batch: int, repeat: int) -> Callable[[], int]:
    """Reads `repeat` batches as training does; returns how many images that were."""
    stream = Stream(samples, tasks, torch.Generator().manual_seed(0), flip=True)

    def read() -> int:
        return sum(len(stream.next(batch)) for _ in range(repeat))

    return read


def learner(
    backbone: nn.Module, width: int, tasks: tuple[Task, ...], samples: Samples, batch: int, device: str
) -> Callable[[], int]:
    """One training step on a batch that is on the device already; returns how many images that were."""
    heads = {task.name: LightDense(width=width).build(backbone, task.channels) for task in tasks}  # type: ignore[arg-type]
    model = MultiTaskModel(backbone, heads, heads)  # type: ignore[arg-type]
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(
        model=model,
        tasks=tasks,
        budget=Budget("natural", "backbone", Groups.of(model), None),
        settings=TrainingSettings(samples=batch * 10_000, batch=batch, evaluations=1, amp=device != "cpu"),
        balancer=Equal([task.name for task in tasks]),
        criterion=_none,
        saved_mask=_none,
        train_samples=samples,
        validation_samples=samples,
        loss_floor={task.name: 1.0 for task in tasks},
        device=torch.device(device),
        seed=0,
    )
    fixed = samples.batch(torch.arange(batch)).to(torch.device(device))

    def step() -> int:
        trainer.update(trainer.backward(fixed))
        if device != "cpu":
            torch.cuda.synchronize()
        return batch

    return step


def _none(name: str) -> Never:
    raise KeyError(name)


def measure(work: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Images a second of each, in alternating rounds after one that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in work}
    for count in range(rounds + 1):
        for name, run in work.items():
            start = time.perf_counter()
            images = run()
            if count:
                rates[name].append(images / (time.perf_counter() - start))
    return rates


def ratio(rates: dict[str, list[float]], other: str) -> float:
    """Median over rounds of the packed arrays' rate / another one's."""
    return statistics.median(a / b for a, b in zip(rates[READ], rates[other], strict=True))


def compare(folder: Path, size: int, options: argparse.Namespace) -> float:
    """Print the rates at one size; returns the ratio to the quick model."""
    draw(folder / "data", options.count, size)
    dataset = Folder(root=str(folder / "data"), height=size, width=size)
    dataset.prepare(folder / "cache", lambda done, total, what: None)
    samples, tasks = dataset.samples("train", folder / "cache"), dataset.tasks()
    torch.manual_seed(0)
    work = {
        READ: reader(samples, tasks, options.batch, 12),
        FILES: reader(DecodedSamples(dataset), tasks, options.batch, 1),
        TRAIN: learner(SmallResNet(width=16).build(), 16, tasks, samples, options.batch, "cpu"),
    }
    gpu = "ResNet-50 on the GPU, training"
    if options.gpu and size == SIZES[-1]:
        work[gpu] = learner(ResNet(depth=50).build(), 48, tasks, samples, 16, "cuda")
    rates = measure(work, options.rounds)
    print(f"{size}x{size}, {len(samples)} images, batch {options.batch}")
    for name, found in rates.items():
        beside = "" if name == READ else f"{ratio(rates, name):9.1f} times slower than the packed arrays"
        print(f"  {name:32}{statistics.median(found):10.0f} images/s{beside}")
    return ratio(rates, TRAIN)


def main() -> int:
    """Measure both sizes; 1 when the limit is missed."""
    parser = argparse.ArgumentParser(description="speed of the packed cache")
    for name, default in {"rounds": 11, "batch": 8, "count": 192}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gpu", action="store_true", help="also beside the papers' network on the GPU")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        parser.error("--gpu: there is no CUDA device here")
    torch.set_num_threads(1)
    print(f"one thread each; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found[size] = compare(Path(folder), size, options)
    missed = found[SIZES[0]] < LIMIT
    print(f"limit of {LIMIT:.0f} at {SIZES[0]}x{SIZES[0]}: {'missed' if missed else 'met'} ({found[SIZES[0]]:.0f})")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
