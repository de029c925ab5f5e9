"""What a canonical batch is, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from msbench.data.dataset import Batch
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.depth import DepthTask
from msbench.tasks.edges import EdgesTask
from msbench.tasks.keypoints import KeypointsTask
from msbench.tasks.normals import NormalsTask
from msbench.tasks.segmentation import IGNORE, SegmentationTask
from msbench.tasks.task import Task

UNIT_LENGTH: Final = 0.02
"""How far from 1 a stored normal's length may be."""


def fault(batch: Batch, tasks: Sequence[Task]) -> str | None:
    """What is wrong with a batch, in a few words; None when it is canonical."""
    image = batch.image
    if image.dtype != torch.float32 or image.ndim != 4 or image.shape[1] != 3:
        return f"images are {_form(image)}, expected float32 [B, 3, H, W]"
    if not 0 <= float(image.min()) <= float(image.max()) <= 1:
        return f"images lie in [{float(image.min()):.3g}, {float(image.max()):.3g}], expected [0, 1]"
    for task in tasks:
        if task.name not in batch.target or task.name not in batch.valid:
            return f"the task {task.name!r} has no target or no valid mask"
        found = _fault(task, batch.target[task.name], batch.valid[task.name], image)
        if found:
            return f"{task.name}: {found}"
    return None


def _fault(task: Task, target: Tensor, valid: Tensor, image: Tensor) -> str | None:
    grid = (len(image), *image.shape[2:]) if task.head == "dense" else (len(image),)
    if valid.dtype != torch.bool or tuple(valid.shape) != grid:
        return f"valid is {_form(valid)}, expected bool {list(grid)}"
    if target.shape[:1] + target.shape[target.ndim - len(grid) + 1 :] != valid.shape:
        return f"the target is {_form(target)}, the valid mask {_form(valid)}"
    channels = target.ndim > len(grid)
    known = target.movedim(1, -1)[valid] if channels else target[valid]
    wrong = _values(task, target, known)
    if wrong:
        return wrong
    output = torch.zeros(len(image), task.channels, *grid[1:])
    loss = float(task.loss(output, target, valid))
    return None if 0 <= loss < float("inf") else f"the loss of an output of zeros is {loss}"


def _values(task: Task, target: Tensor, known: Tensor) -> str | None:
    """known: valid values only, [pixels] or [pixels, channels]."""
    if isinstance(task, SegmentationTask):
        if target.dtype != torch.int64:
            return f"labels are {_form(target)}, expected int64"
        wrong = known[(known != IGNORE) & ((known < 0) | (known >= len(task.classes)))]
        return f"label {int(wrong[0])} is none of {len(task.classes)} classes" if len(wrong) else None
    binary = isinstance(task, AttributeTask) or (isinstance(task, EdgesTask) and task.binary)
    if target.dtype != torch.float32 and not binary:
        return f"the target is {_form(target)}, expected float32"
    if not known.isfinite().all():
        return "the target is not finite where it is valid"
    return _range(task, known)


def _range(task: Task, known: Tensor) -> str | None:
    if isinstance(task, DepthTask):
        good, expected = known > 0, "metres above 0"
    elif isinstance(task, NormalsTask):
        good, expected = (known.norm(dim=-1, keepdim=True) - 1).abs() <= UNIT_LENGTH, "vectors of length 1"
    elif isinstance(task, EdgesTask | KeypointsTask):
        good, expected = (known >= 0) & (known <= 1), "a strength in [0, 1]"
    elif isinstance(task, AttributeTask):
        good, expected = (known == 0) | (known == 1), "0 or 1"
    else:
        return None
    wrong = known[~good.expand_as(known)]
    return f"a valid target is {wrong[0].item():.3g}, expected {expected}" if len(wrong) else None


def _form(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
