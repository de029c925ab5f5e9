"""Views worth keeping: scenes that show nearly nothing are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from .labels import NYU13_OF_NYU40, Nyu40
from .render import glance
from .scene import Scene, sample_scene

_ATTEMPTS: Final = 8
_SHELL: Final = (Nyu40.WALL, Nyu40.FLOOR, Nyu40.CEILING)


def choose_scenes(seed: int, part: str, indices: Sequence[int]) -> list[Scene]:
    """The scene of each index: its first attempt whose view is worth keeping, or the last one."""
    scenes = [sample_scene(seed, part, index) for index in indices]
    waiting = list(range(len(indices)))
    for attempt in range(1, _ATTEMPTS):
        views = glance([scenes[position] for position in waiting])
        waiting = [position for position, view in zip(waiting, views, strict=True) if not worth_keeping(*view)]
        if not waiting:
            break
        for position in waiting:
            scenes[position] = sample_scene(seed, part, indices[position], attempt)
    return scenes


def worth_keeping(label: Tensor, instance: Tensor, depth: Tensor) -> bool:
    """Whether a coarse view is varied enough. label, instance, depth: [N], of its pixels.

    It shows at least four NYU-13 classes, no object that fills half of it, nothing right before the camera,
    and more than bare walls.
    """
    classes = {NYU13_OF_NYU40[value - 1] for value in label.unique().tolist()}
    objects = instance[instance > 2]
    largest = int(torch.bincount(objects).max()) if len(objects) else 0
    bare = sum(int((label == value).sum()) for value in _SHELL)
    near = int((depth < 0.55).sum())
    total = len(label)
    return len(classes) >= 4 and largest <= 0.5 * total and near <= 0.03 * total and bare <= 0.88 * total
