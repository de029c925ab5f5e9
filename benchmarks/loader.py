"""How fast packed samples are read: beside what training consumes, and beside decoding files for every batch.

A folder of pictures with segmentation, depth and normals is fabricated and packed. Then, in turn and with one thread:
batches from the packed arrays as training reads them (shuffled, mirrored at random), the same batches decoded from
their PNG and .npy files, and training steps of the quick model on batches that are in memory. Everything is in the
page cache, as it is from the second epoch on. `images/s` is the median over rounds, a ratio the median of the rounds'
ratios, so that another load on the machine hits both sides.

For a GPU the processor gathers the stored bytes and the GPU makes floats of them and mirrors them. What the papers'
network (dilated ResNet-50, a DeepLabV3 head a task) can consume at most follows from its multiply-adds and the peak of
the GPU, which no training reaches: the limit is three times that for the papers' own GPU. The copy over the bus is not
in this figure; with --gpu, and a CUDA device, both sides are measured on it, copies included.

    python benchmarks/loader.py [--rounds 11] [--batch 8] [--count 192] [--gpu]

Exit code 1 when the packed arrays give less than a limit.
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
from torch.utils.flop_counter import FlopCounterMode

from msbench.api import Batch, Budget, Equal, Groups, Task, TensorSamples, Trainer
from msbench.data.dataset import Samples
from msbench.models.multitask import MultiTaskModel
from msbench.training.settings import TrainingSettings
from msbench.training.stream import Stream
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.datasets.folder import Folder
from msbench_plugins.heads.deeplab import DeepLabV3
from msbench_plugins.heads.light import LightDense

LIMIT = 20.0
"""Least ratio of what one thread reads at 64x64 to what the quick model consumes with one thread."""
GPU_LIMIT = 3.0
"""Least ratio of what one thread gathers at 256x256 to what the papers' network can consume on the papers' GPU."""
PEAK = 312e12
"""FLOP/s of the papers' GPU, an A100: bfloat16, dense, by NVIDIA's data sheet."""
PAPERS_BATCH = 16
SIZES = (64, 256)
READ = "packed arrays"
GATHER = "packed arrays, for a GPU"
FILES = "files decoded each time"
TRAIN = "quick model, training"
ON_GPU = "packed arrays, on the GPU"
PAPERS = "papers' network on the GPU"


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


def reader(
    samples: Samples, tasks: tuple[Task, ...], batch: int, repeat: int, device: str = "cpu"
) -> Callable[[], int]:
    """Reads `repeat` batches as training does; returns how many images that were.

    On the device "meta" there are no bytes: what is left is what the processor does for a GPU, but for the copy.
    """
    flip = device != "meta"  # a GPU mirrors there; a device without bytes would only be slow to describe it
    stream = Stream(samples, tasks, torch.Generator().manual_seed(0), flip=flip, device=torch.device(device))

    def read() -> int:
        count = sum(len(stream.next(batch)) for _ in range(repeat))
        if device == "cuda":
            torch.cuda.synchronize()
        return count

    return read


def quick_network(tasks: tuple[Task, ...]) -> MultiTaskModel:
    """The default network."""
    backbone = SmallResNet(width=16).build()
    heads = {task.name: LightDense(width=16).build(backbone, task.channels) for task in tasks}
    return MultiTaskModel(backbone, heads, heads)  # type: ignore[arg-type]


def papers_network(tasks: tuple[Task, ...]) -> MultiTaskModel:
    """The meta-sparsity paper's network."""
    backbone = ResNet(depth=50, output_stride=8, stem="papers").build()
    heads = {task.name: DeepLabV3().build(backbone, task.channels) for task in tasks}
    return MultiTaskModel(backbone, heads, heads)  # type: ignore[arg-type]


def training_flops(tasks: tuple[Task, ...], size: int) -> float:
    """FLOPs of one image in a training step of the papers' network, forward and backward."""
    with torch.device("meta"):
        model, images = papers_network(tasks), torch.empty(PAPERS_BATCH, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        sum((output.sum() for output in model(images).values()), torch.tensor(0.0, device="meta")).backward()
    return counter.get_total_flops() / PAPERS_BATCH


def learner(model: nn.Module, tasks: tuple[Task, ...], samples: Samples, batch: int, device: str) -> Callable[[], int]:
    """One training step on a batch that is on the device already; returns how many images that were."""
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(
        model=model,  # type: ignore[arg-type]
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
    fixed = samples.batch_on(torch.arange(batch), torch.device(device))

    def step() -> int:
        trainer.update(trainer.backward(fixed))
        if device == "cuda":
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


def ratio(rates: dict[str, list[float]], fast: str, slow: str) -> float:
    """Median over rounds of one rate / another one's."""
    return statistics.median(a / b for a, b in zip(rates[fast], rates[slow], strict=True))


def on_gpu(samples: Samples, tasks: tuple[Task, ...]) -> dict[str, Callable[[], int]]:
    """Both sides on the GPU; its batches are those of the processor, bit for bit."""
    device, rows = torch.device("cuda"), torch.arange(PAPERS_BATCH)
    here, there = samples.batch(rows), samples.batch_on(rows, device).to(torch.device("cpu"))
    torch.cuda.synchronize()
    assert torch.equal(here.image, there.image)
    assert all(torch.equal(value, there.target[name]) for name, value in here.target.items())
    return {
        ON_GPU: reader(samples, tasks, PAPERS_BATCH, 6, "cuda"),
        PAPERS: learner(papers_network(tasks), tasks, samples, PAPERS_BATCH, "cuda"),
    }


def compare(folder: Path, size: int, options: argparse.Namespace) -> dict[str, float]:
    """Print the rates at one size; returns what has a limit, by name: ratio."""
    draw(folder / "data", options.count, size)
    dataset = Folder(root=str(folder / "data"), height=size, width=size)
    dataset.prepare(folder / "cache", lambda done, total, what: None)
    samples, tasks = dataset.samples("train", folder / "cache"), dataset.tasks()
    torch.manual_seed(0)
    large = size == SIZES[-1]
    work = {
        READ: reader(samples, tasks, options.batch, 12),
        FILES: reader(DecodedSamples(dataset), tasks, options.batch, 1),
        TRAIN: learner(quick_network(tasks), tasks, samples, options.batch, "cpu"),
    }
    if large:
        work[GATHER] = reader(samples, tasks, PAPERS_BATCH, 6, "meta")
    if large and options.gpu:
        work |= on_gpu(samples, tasks)
    rates = measure(work, options.rounds)
    print(f"{size}x{size}, {len(samples)} images, batch {options.batch} ({PAPERS_BATCH} for a GPU)")
    for name, found in rates.items():
        beside = f"{ratio(rates, READ, name):9.1f} times slower" if name in (FILES, TRAIN) else ""
        print(f"  {name:32}{statistics.median(found):10.0f} images/s{beside}")
    return _limited(rates, training_flops(tasks, size) if large else None)


def _limited(rates: dict[str, list[float]], flops: float | None) -> dict[str, float]:
    """The ratios that have a limit, as shares of it."""
    if flops is None:
        return {f"{LIMIT:.0f}x what the quick model consumes": ratio(rates, READ, TRAIN) / LIMIT}
    gathered = statistics.median(rates[GATHER])
    print(
        f"  the papers' network needs {flops / 1e9:.0f} GFLOP an image: at most {PEAK / flops:.0f} images/s on an A100 "
        f"at its peak;\n  what is gathered is {GPU_LIMIT:.0f} times what any GPU consumes that sustains up to "
        f"{gathered / GPU_LIMIT * flops / 1e12:.0f} TFLOP/s"
    )
    found = {f"{GPU_LIMIT:.0f}x what the papers' network can consume on an A100": gathered * flops / PEAK / GPU_LIMIT}
    if ON_GPU in rates:
        name = torch.cuda.get_device_name()
        found[f"{GPU_LIMIT:.0f}x what it consumes on this {name}"] = ratio(rates, ON_GPU, PAPERS) / GPU_LIMIT
    return found


def main() -> int:
    """Measure both sizes; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description="speed of the packed cache")
    for name, default in {"rounds": 11, "batch": 8, "count": 192}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gpu", action="store_true", help="also beside the papers' network on the GPU")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        parser.error("--gpu: there is no CUDA device here")
    torch.set_num_threads(1)
    print(f"one thread each; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    missed = False
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for what, share in compare(Path(folder), size, options).items():
                print(f"  limit {what}: {'met' if share >= 1 else 'missed'} ({share:.1f} of it)")
                missed |= share < 1
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
