"""Colours that a colour-blind reader can tell apart: a palette for classes, an ordered map for quantities."""

from __future__ import annotations

import torch
from torch import Tensor

Colour = tuple[int, int, int]

OKABE_ITO: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (153, 153, 153),
)
"""Okabe and Ito's universal-design palette, grey in place of black (black marks what is invalid)."""

_SHADES = (0.0, 0.45, -0.45, 0.7, -0.7)
"""Towards white (positive) or black (negative), one step for every pass through the palette."""

_VIRIDIS: tuple[Colour, ...] = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Anchors of matplotlib's viridis: lightness grows evenly, also in greyscale."""


def palette(count: int) -> tuple[Colour, ...]:
    """`count` colours; the first eight are the easiest to tell apart, the next ones are their shades."""
    colours = []
    for index in range(count):
        base = OKABE_ITO[index % len(OKABE_ITO)]
        shade = _SHADES[index // len(OKABE_ITO) % len(_SHADES)]
        towards = 255 if shade > 0 else 0
        red, green, blue = (round(part + abs(shade) * (towards - part)) for part in base)
        colours.append((red, green, blue))
    return tuple(colours)


def ordered(values: Tensor) -> Tensor:
    """uint8 [3, H, W] for values [H, W] in [0, 1]: viridis, interpolated between five anchors."""
    anchors = torch.tensor(_VIRIDIS, dtype=torch.float32, device=values.device)
    position = values.float().nan_to_num(0.0).clamp(0, 1) * (len(anchors) - 1)
    below = position.long().clamp_max(len(anchors) - 2)
    colour = torch.lerp(anchors[below], anchors[below + 1], (position - below)[..., None])
    return colour.round().to(torch.uint8).movedim(-1, 0)


def blacken(picture: Tensor, valid: Tensor) -> Tensor:
    """The picture [3, H, W] with everything invalid in black."""
    return torch.where(valid, picture, torch.zeros_like(picture))
