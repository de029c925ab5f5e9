"""Random changes of a training batch: images and all their targets together, each sample by itself.

Nothing here draws from a global generator, and nothing looks at the network: what is drawn depends on the stream's
generator alone, so every method trains on the same pictures.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor

from msbench._torchvision import import_torchvision
from msbench.data.dataset import Batch, sent
from msbench.tasks.task import Task

_Box = tuple[int, int, int, int]
"""Top, left, height, width."""


def mirror(batch: Batch, tasks: Sequence[Task], where: Tensor) -> Batch:
    """Mirror the images at `where` (bool [B]) left to right, with all their targets."""

    rows = sent(where.nonzero().flatten(), batch.image.device)

    def put(mirrored: Callable[[Tensor], Tensor], plain: Tensor) -> Tensor:
        return plain.index_copy(0, rows, mirrored(plain.index_select(0, rows)))

    target, valid = {}, {}
    for task in tasks:
        t, v = batch.target[task.name], batch.valid[task.name]
        target[task.name] = put(task.flip, t)
        valid[task.name] = put(_flip, v) if v.ndim > 1 else v
    return Batch(put(_flip, batch.image), target, valid)


def _flip(value: Tensor) -> Tensor:
    return value.flip(-1)


def zoom(batch: Batch, tasks: Sequence[Task], draws: Tensor, largest: float) -> Batch:
    """Crop each image to 1 / factor of its sides and enlarge it to its old size, with all its targets and masks.

    draws: float [3, B] in [0, 1): where the factor lies between 1 and `largest`, and where the crop lies down and
    across. Images are interpolated bilinearly with antialiasing; targets and masks take the nearest pixel (its centre,
    as the image does), so that no label, depth or direction appears that was not there.

    The lens is taken to stay the same, since apparent size is what tells depth. A crop enlarged by f is then exactly
    the picture of the scene (X, Y, Z / f): u = F X / Z becomes f u = F X / (Z / f) for the focal length F. So depth is
    divided by f, and normals become those of that flatter scene (`Task.zoom`); leaving the normals as they are, as
    most code does, would describe another surface than the depth beside them. Where the crop lies only moves the
    principal point, which changes neither. Answers about the whole image are kept, although their reason may be
    cropped away: large factors do not suit them.
    """
    boxes, factor = _boxes(draws, largest, *batch.image.shape[-2:])
    factor = sent(factor, batch.image.device)
    image = _crop(batch.image, boxes, "BILINEAR")

    maps = [m for t in tasks for m in (batch.target[t.name], batch.valid[t.name]) if m.ndim > 1]
    cropped = iter(_crop_maps(maps, boxes))
    target, valid = {}, {}
    for task in tasks:
        t, v = batch.target[task.name], batch.valid[task.name]
        target[task.name] = task.zoom(next(cropped) if t.ndim > 1 else t, factor)
        valid[task.name] = next(cropped) if v.ndim > 1 else v
    return Batch(image, target, valid)


def jitter(image: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Images [B, 3, H, W] in [0, 1] with brightness, contrast and saturation, in this order, changed by random factors.

    draws: float [3, B] in [0, 1), one row for each of the three: 1 - strength at 0, 1 + strength at 1.
    """
    functional = _functional()

    def change(one: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
        lit = functional.adjust_contrast(functional.adjust_brightness(one, brightness), contrast)
        changed: Tensor = functional.adjust_saturation(lit, saturation)
        return changed

    factors = (1.0 + strength * (2.0 * draws - 1.0)).T.tolist()
    return torch.stack([change(one, *three) for one, three in zip(image, factors, strict=True)])


def _functional() -> ModuleType:
    """torchvision's transforms as functions, late: only a run that asks for them pays for the import."""
    import_torchvision()
    return importlib.import_module("torchvision.transforms.v2.functional")


def _boxes(draws: Tensor, largest: float, height: int, width: int) -> tuple[list[_Box], Tensor]:
    """Where each sample is cropped, and how many times larger (float [B]) it is seen afterwards."""
    boxes, factors = [], []
    for size, down, across in draws.T.tolist():
        factor = 1.0 + size * (largest - 1.0)
        rows, columns = max(round(height / factor), 1), max(round(width / factor), 1)
        boxes.append((int(down * (height - rows + 1)), int(across * (width - columns + 1)), rows, columns))
        # what whole pixels allow, which is not quite what was drawn
        factors.append(math.sqrt(height / rows * width / columns))
    return boxes, torch.tensor(factors)


def _crop(images: Tensor, boxes: list[_Box], interpolation: str) -> Tensor:
    """Every image [C, H, W] cropped to its box and resized to [H, W]."""
    functional, size = _functional(), list(images.shape[-2:])
    mode = functional.InterpolationMode[interpolation]
    crops = [functional.resized_crop(i, *b, size, mode, antialias=True) for i, b in zip(images, boxes, strict=True)]
    return torch.stack(crops)


def _crop_maps(maps: list[Tensor], boxes: list[_Box]) -> list[Tensor]:
    """Maps [B, H, W] or [B, C, H, W] of any dtype, cropped and enlarged by the nearest pixel.

    They travel as planes of one floating dtype (exact for labels below 2**24): one resize a sample in place of two a
    task, for on small images it is the calls that cost.
    """
    if not maps:
        return []
    kind = torch.float64 if any(m.dtype == torch.float64 for m in maps) else torch.float32
    planes = [m.to(kind).flatten(1, -3) if m.ndim > 3 else m.to(kind)[:, None] for m in maps]
    cropped = _crop(torch.cat(planes, 1), boxes, "NEAREST_EXACT").split([p.shape[1] for p in planes], 1)
    return [part.reshape(m.shape).to(m.dtype) for part, m in zip(cropped, maps, strict=True)]
