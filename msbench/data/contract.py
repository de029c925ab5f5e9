"""What one stored sample must be: checked for every sample while it is packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msbench.data.arrays import CODES, Layout, layout_of
from msbench.errors import UserError
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.segmentation import IGNORE, SegmentationTask
from msbench.tasks.task import Task

if TYPE_CHECKING:
    from msbench.data.packed import Decoded

Arrays = Mapping[str, Tensor]
"""A sample as it is stored: `image`, `target.TASK` and `valid.TASK`."""


def arrays_of(sample: Decoded, tasks: Sequence[Task]) -> Arrays:
    """The arrays of a sample, of the dataset's tasks alone; UserError for a task that `decode` leaves out."""
    arrays = {"image": sample.image}
    for task in tasks:
        for kind, values in (("target", sample.target), ("valid", sample.valid)):
            if task.name not in values:
                raise UserError(f"the dataset's decode() gives no {kind} for its task {task.name!r}")
            arrays[f"{kind}.{task.name}"] = values[task.name]
    return arrays


def layouts_of(arrays: Arrays) -> dict[str, Layout]:
    """Types and shapes of a sample's arrays."""
    return {name: layout_of(value) for name, value in arrays.items()}


def fault(arrays: Arrays, tasks: Sequence[Task]) -> str | None:
    """What is wrong with a sample, in a few words; None when it keeps to what `Decoded` documents."""
    image = arrays["image"]
    if image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
        return f"image is {_form(image)}, expected uint8 [3, H, W]"
    for name, value in arrays.items():
        if value.dtype not in CODES:
            return f"{name} is {_form(value)}, a type that cannot be stored"
    for task in tasks:
        found = _task_fault(task, arrays[f"target.{task.name}"], arrays[f"valid.{task.name}"])
        if found is not None:
            return f"{task.name}: {found}"
    return None


def changed_layout(first: Mapping[str, Layout], found: Mapping[str, Layout]) -> str | None:
    """Where a sample's types or shapes differ from the first sample's; None where they do not."""
    for name, (code, shape) in found.items():
        if (code, shape) != first[name]:
            expected = first[name]
            return f"{name} is {code} {list(shape)}, that of the first sample {expected[0]} {list(expected[1])}"
    return None


def _task_fault(task: Task, target: Tensor, valid: Tensor) -> str | None:
    if valid.dtype not in (torch.bool, torch.uint8):
        return f"valid is {_form(valid)}, expected bool"
    dims = 2 if task.head == "dense" else 0
    planes = target.shape[:-2] if dims else target.shape
    if valid.ndim != dims or len(planes) > dims // 2 or target.shape[len(planes) :] != valid.shape:
        expected = "the same H and W" if dims else "one value each"
        return f"target is {_form(target)} and valid {_form(valid)}, expected {expected}"
    known = target[..., valid.bool()] if dims else target[valid.bool()]
    if known.is_floating_point() and not known.isfinite().all():
        return "the target is infinite or not a number where it is valid"
    if isinstance(task, SegmentationTask):
        return _label_fault(known, len(task.classes))
    if isinstance(task, AttributeTask) and not ((known == 0) | (known == 1)).all():
        return f"attribute is {known.flatten()[0].item()}, expected 0 or 1"
    return None


def _label_fault(labels: Tensor, classes: int) -> str | None:
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return f"labels are {labels.dtype}, expected whole numbers"
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != IGNORE)]
    if wrong.numel():
        return f"label {wrong[0].item()} is neither a class (0 to {classes - 1}) nor {IGNORE} (ignored)"
    return None


def _form(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
