"""Targets with ignored pixels for every standard task, and ways to feed an evaluator."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from msbench.tasks.attribute import AttributeTask
from msbench.tasks.depth import DepthTask
from msbench.tasks.edges import EdgesTask
from msbench.tasks.keypoints import KeypointsTask
from msbench.tasks.normals import NormalsTask
from msbench.tasks.segmentation import SegmentationTask
from msbench.tasks.task import Task

CLASSES = ("wall", "floor", "chair", "lamp")
TASKS: dict[str, Task] = {
    "segmentation": SegmentationTask(classes=CLASSES),
    "smoothed": SegmentationTask(classes=CLASSES, smoothing=0.1),
    "weighted segmentation": SegmentationTask(classes=CLASSES, class_weights=(0.1, 1.0, 2.0, 0.7)),
    "depth": DepthTask(),
    "depth, absolute": DepthTask(objective="l1"),
    "depth, squared": DepthTask(objective="l2"),
    "normals": NormalsTask(),
    "soft edges": EdgesTask(),
    "edges, absolute": EdgesTask(huber_delta=0.0),
    "binary edges": EdgesTask(binary=True),
    "keypoints": KeypointsTask(),
    "keypoints, Huber": KeypointsTask(huber_delta=0.5),
    "attribute": AttributeTask("smiling"),
    "weighted attribute": AttributeTask("glasses", positive_weight=3.0),
}


def example(task: Task, seed: int, images: int = 5, size: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """(output, target, valid), float64, about a fifth of it invalid."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images,) if task.head == "vector" else (images, size, size)

    def uniform(*dims: int) -> Tensor:
        return torch.rand(*dims, generator=generator, dtype=torch.float64)

    output = torch.randn(images, task.channels, *shape[1:], generator=generator, dtype=torch.float64)
    valid = uniform(*shape) < 0.8
    valid[0] = True
    if task.kind == "segmentation":
        return output, torch.randint(0, task.channels, shape, generator=generator), valid
    if task.kind == "depth":
        return output, 0.5 + 4 * uniform(*shape), valid
    if task.kind == "normals":
        target = torch.randn(images, 3, *shape[1:], generator=generator, dtype=torch.float64)
        return output, target / target.norm(dim=1, keepdim=True), valid
    if task.kind == "keypoints" or (task.kind == "edges" and not getattr(task, "binary", False)):
        return output, (uniform(*shape) - 0.5).clamp_min(0) * 2, valid
    return output, (uniform(*shape) < 0.3).long(), valid


def evaluate(task: Task, output: Tensor, target: Tensor, valid: Tensor, sizes: Sequence[int] = ()) -> dict[str, float]:
    """The metrics of batches of these sizes; of one batch when there are none."""
    evaluator = task.evaluator()
    for part in zip(*(x.split(list(sizes) or len(x)) for x in (output, target, valid)), strict=True):
        evaluator.update(*part)
    return evaluator.compute()


def broadcast(constant: Tensor, valid: Tensor) -> Tensor:
    """A constant predictor's output [channels] for every place of `valid`."""
    return constant.view(1, -1, *([1] * (valid.ndim - 1))).expand(len(valid), -1, *valid.shape[1:])


@pytest.fixture(params=TASKS, ids=lambda name: name.replace(" ", "_"))
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]
