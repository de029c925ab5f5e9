"""What a canonical batch may hold, task by task."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from msbench.api import (
    AttributeTask,
    Batch,
    DepthTask,
    EdgesTask,
    KeypointsTask,
    NormalsTask,
    SegmentationTask,
    Task,
)
from msbench.conformance.rules.batches import fault

LABELS = torch.zeros(2, 4, 4, dtype=torch.int64)
STRENGTH = torch.full((2, 4, 4), 0.5)
UPWARD = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4).contiguous()
GOOD: list[tuple[Task, Tensor]] = [
    (SegmentationTask(classes=("a", "b")), LABELS),
    (SegmentationTask(classes=("a", "b")), torch.full_like(LABELS, 255)),
    (DepthTask(), STRENGTH),
    (NormalsTask(), UPWARD),
    (EdgesTask(), STRENGTH),
    (EdgesTask(binary=True), LABELS),
    (KeypointsTask(), STRENGTH),
    (AttributeTask(), torch.tensor([0, 1])),
    (AttributeTask(), torch.tensor([0.0, 1.0])),
    (AttributeTask(), torch.tensor([False, True])),
]
WRONG: list[tuple[Task, Tensor, str]] = [
    (SegmentationTask(classes=("a", "b")), LABELS + 2, "label 2 is none of 2 classes"),
    (SegmentationTask(classes=("a", "b")), LABELS.float(), "expected int64"),
    (DepthTask(), -STRENGTH, "a valid target is -0.5, expected metres above 0"),
    (DepthTask(), STRENGTH.double(), "expected float32"),
    (DepthTask(), STRENGTH[:, :2], r"the target is float32 \[2, 2, 4\], the valid mask bool \[2, 4, 4\]"),
    (NormalsTask(), 2 * UPWARD, "expected vectors of length 1"),
    (EdgesTask(), 3 * STRENGTH, r"a valid target is 1.5, expected a strength in \[0, 1\]"),
    (KeypointsTask(), -STRENGTH, r"a strength in \[0, 1\]"),
    (EdgesTask(), STRENGTH * float("nan"), "not finite where it is valid"),
    (AttributeTask(), torch.tensor([0, 2]), "a valid target is 2, expected 0 or 1"),
]


def batch(task: Task, target: Tensor, image: Tensor | None = None) -> Batch:
    valid = torch.ones((2, 4, 4) if task.head == "dense" else (2,), dtype=torch.bool)
    return Batch(torch.rand(2, 3, 4, 4) if image is None else image, {task.name: target}, {task.name: valid})


@pytest.mark.parametrize(("task", "target"), GOOD)
def test_what_a_task_documents_is_canonical(task: Task, target: Tensor) -> None:
    assert fault(batch(task, target), [task]) is None


@pytest.mark.parametrize(("task", "target", "message"), WRONG)
def test_what_is_wrong_is_named(task: Task, target: Tensor, message: str) -> None:
    found = fault(batch(task, target), [task])
    assert found is not None
    assert re.search(message, found)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(2, 3, 4, 4) * 255, "expected [0, 1]"),
        (torch.rand(2, 1, 4, 4), "expected float32 [B, 3, H, W]"),
        (torch.rand(2, 3, 4, 4).double(), "expected float32 [B, 3, H, W]"),
        (torch.rand(2, 3, 8, 8), "valid is bool [2, 4, 4], expected bool [2, 8, 8]"),
    ],
)
def test_images_are_canonical_too(image: Tensor, message: str) -> None:
    task = DepthTask()
    assert message in str(fault(batch(task, STRENGTH, image), [task]))


def test_a_target_may_be_anything_where_it_is_not_valid() -> None:
    task = DepthTask()
    good = batch(task, torch.full((2, 4, 4), float("nan")))
    good.valid["depth"][:] = False
    assert fault(good, [task]) is None


def test_a_task_that_is_missing_is_named() -> None:
    assert fault(batch(DepthTask(), STRENGTH), [DepthTask(), EdgesTask()]) == (
        "the task 'edges' has no target or no valid mask"
    )
