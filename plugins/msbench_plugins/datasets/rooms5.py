"""Rooms with a fifth task: how much every pixel would be worth as a keypoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from msbench.api import Batch, KeypointsTask, Part, Samples, Task

from .rooms.dataset import Rooms
from .rooms.filters import blur, grey

_SCALES: Final = (7.0, 13.0, 26.0)
"""Standard deviations of the blurs, in pixels of a picture of 512."""

_FINEST: Final = 0.8
"""Pixels: the least standard deviation that the grid can carry."""

_CLIP: Final = 0.005
"""Response that counts as 1: where the papers clip Taskonomy's keypoints."""

_CHUNK: Final = 64


@dataclass
class Rooms5(Rooms):
    """The pictures of `rooms` with five tasks, in place of Tiny-Taskonomy.

    Segmentation, depth, normals, keypoints and texture edges. Keypoints are Taskonomy's `keypoints2d`: the response
    of a blob detector to the picture as the network sees it, before any suppression of what is not a maximum.
    size, seed, classes: as for `rooms`; both share what is rendered.
    """

    name: ClassVar[str] = "rooms5"
    paper: ClassVar[str] = (
        "Tasks after Zamir et al. Taskonomy: disentangling task transfer learning. CVPR 2018; "
        "keypoints after Bay et al. SURF: speeded up robust features. ECCV 2006"
    )

    def tasks(self) -> tuple[Task, ...]:
        segmentation, depth, normals, edges = super().tasks()
        return (segmentation, depth, normals, KeypointsTask(), edges)

    def default_tasks(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks())

    def samples(self, part: Part, cache: Path) -> Samples:
        return _WithKeypoints(super().samples(part, cache))

    def fingerprint(self, cache: Path) -> str:
        source = Path(__file__).read_text(encoding="utf-8")
        return hashlib.sha256(f"{super().fingerprint(cache)} {source}".encode()).hexdigest()


class _WithKeypoints(Samples):
    """Samples of rooms, and the keypoint strength of all their pictures, one byte a pixel."""

    def __init__(self, rooms: Samples) -> None:
        self._rooms = rooms
        chunks = torch.arange(len(rooms)).split(_CHUNK)
        responses = [(keypoint_strength(rooms.batch(chunk).image) * 255).round() for chunk in chunks]
        self._keypoints = torch.cat(responses).to(torch.uint8)

    def __len__(self) -> int:
        return len(self._rooms)

    def batch(self, indices: Tensor) -> Batch:
        found = self._rooms.batch(indices)
        strength = self._keypoints[indices].float().div_(255.0)
        everywhere = torch.ones_like(strength, dtype=torch.bool)
        return Batch(found.image, {**found.target, "keypoints": strength}, {**found.valid, "keypoints": everywhere})


def keypoint_strength(image: Tensor) -> Tensor:
    """Strength [B, H, W] in [0, 1] of pictures [B, 3, H, W]: SURF's response with Gaussians in place of boxes.

    The determinant of the Hessian, normalised for scale (sigma⁴), the largest over the scales; it is large on blobs
    and corners, negative on saddles, zero along straight edges.
    """
    brightness = grey(image)
    best = torch.zeros_like(brightness)
    for scale in _SCALES:
        sigma = max(scale * image.shape[-1] / 512, _FINEST)
        best = torch.maximum(best, sigma**4 * _hessian_determinant(blur(brightness, sigma)))
    return (best[:, 0] / _CLIP).clamp(0, 1)


def _hessian_determinant(image: Tensor) -> Tensor:
    """Of [B, 1, H, W], by central differences, borders replicated."""
    p = F.pad(image, (1, 1, 1, 1), mode="replicate")
    middle = p[..., 1:-1, 1:-1]
    xx = p[..., 1:-1, 2:] + p[..., 1:-1, :-2] - 2 * middle
    yy = p[..., 2:, 1:-1] + p[..., :-2, 1:-1] - 2 * middle
    xy = (p[..., 2:, 2:] + p[..., :-2, :-2] - p[..., 2:, :-2] - p[..., :-2, 2:]) / 4
    return xx * yy - xy * xy
