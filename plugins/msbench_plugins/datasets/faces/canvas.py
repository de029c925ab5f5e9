"""A soft-edged canvas in the coordinates of the face: paint goes on from back to front, labels with it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import torch
from torch import Tensor

from ..rooms.texture import value_noise
from .dice import Sitters

HEAD_WIDTH: Final = 0.6
HEAD_HEIGHT: Final = 0.84


class Region(IntEnum):
    """The three classes of the meta-sparsity papers' face masks, in their order."""

    BACKGROUND = 0
    HAIR = 1
    SKIN = 2


class Canvas:
    """B pictures of S x S = N pixels.

    u, v: [B, N], right and up from the middle of the head, in units of about a head's width and a half.
    x, y: as u and v, moved along with the features when the head turns (yaw) or nods.
    image: [B, 3, N] in [0, 1]. label: uint8 [B, N], of `Region`. light: [B, N], how brightly the head is lit.
    grain: [B, N], fine smooth noise in [0, 1) for cloth and ragged edges. salt: [B, 1], seed of each face's noise.
    """

    def __init__(self, sitters: Sitters, size: int) -> None:
        dice = sitters.dice("pose")
        roll, scale = dice.between(-0.12, 0.12), dice.between(0.92, 1.1)
        right, up = dice.between(-0.07, 0.07), dice.between(-0.03, 0.11)
        self.yaw, self.nod = dice.between(-1, 1), dice.between(-1, 1)
        self.salt = dice.between(0, 9999).floor()

        steps = (torch.arange(size) + 0.5) / size * 2 - 1
        self.across, self.upward = steps.repeat(size)[None], -steps.repeat_interleave(size)[None]
        a, b = self.across - right, self.upward - up
        # 1 - roll² / 2: the cosine to 1e-5 at these angles, and the same on every machine
        cosine = 1 - roll * roll / 2
        self.u, self.v = (cosine * a + roll * b) / scale, (cosine * b - roll * a) / scale
        turned = self.u - 0.1 * self.yaw
        self.x, self.y = turned * (1 + 0.16 * self.yaw * turned), self.v - 0.03 * self.nod

        self._pixels = size * scale / 2
        self.image = torch.zeros(len(roll), 3, size * size)
        self.label = torch.zeros(len(roll), size * size, dtype=torch.uint8)
        self.light = self._light(sitters)
        self.grain = self.noise(self.u * 12, self.v * 12, 0)

    def inside(self, distance: Tensor) -> Tensor:
        """Coverage of the pixels by a shape, of which `distance` is the depth below its outline."""
        return (distance * self._pixels).add_(0.5).clamp_(0, 1)

    def paint(self, coverage: Tensor, colour: Tensor, region: Region | None = None) -> None:
        """Lay colour ([B, 3, 1] or [B, 3, N]) over the picture, and the region's label where it covers most."""
        self.image = torch.lerp(self.image, colour, coverage[:, None])
        if region is not None:
            self.label = self.label.masked_fill(coverage > 0.5, int(region))

    def shade(self, factor: Tensor) -> None:
        """Lighten or darken what is there by a factor [B, N]."""
        self.image *= factor[:, None]

    def noise(self, x: Tensor, y: Tensor, layer: int) -> Tensor:
        """Smooth noise in [0, 1), of each face its own."""
        return value_noise(x, y, self.salt + layer)

    def _light(self, sitters: Sitters) -> Tensor:
        """Light from one side on an egg, over light from everywhere."""
        dice = sitters.dice("light")
        side, above, strength = dice.between(-0.8, 0.8), dice.between(-0.1, 0.7), dice.between(0.2, 0.6)
        nx, ny = self.u / (HEAD_WIDTH * 1.25), self.v / (HEAD_HEIGHT * 1.25)
        nz = (1 - nx * nx - ny * ny).clamp_min(0.05).sqrt()
        ahead = (1.6 - side * side - above * above).clamp_min(0.1).sqrt()
        lit = (nx * side + ny * above + nz * ahead).clamp_min(0) / 1.26
        return 1.06 * (1 - strength) + 1.25 * strength * lit


def ellipse(x: Tensor, y: Tensor, width: Tensor | float, height: Tensor | float) -> Tensor:
    """Depth below the outline of an ellipse with these half axes around the origin, to first order."""
    a, b = x / width, y / height
    a, b = a * a, b * b
    radius = (a + b).add_(1e-9).sqrt_()
    slope = (a / (width * width)).add_(b / (height * height)).add_(1e-9).sqrt_()
    return (1 - radius).mul_(radius).div_(slope)


def bump(x: Tensor) -> Tensor:
    """A smooth hill of height 1 and half width 1: a bell without the exponential, which machines round differently."""
    square = (x * x).mul_(-0.25).add_(1).clamp_min_(0)
    return square.mul_(square)


def ramp(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, smooth between."""
    t = x.clamp(0, 1)
    return (3 - 2 * t).mul_(t).mul_(t)
