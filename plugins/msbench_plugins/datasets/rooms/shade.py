"""From surfaces to a photograph: two lights with a hard shadow, ambient light, exposure, blur and grain."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from .filters import blur, dot, grey, length
from .intersect import blocked
from .pack import Chunk
from .surface import Surface
from .texture import albedo, value_noise

_SKIRTING: Final = 0.09
"""Height in metres of the pale board at the foot of the walls."""

_CONTRAST: Final = 0.6
"""Share of an S-shaped curve in the tone curve."""


def radiance(surface: Surface) -> Tensor:
    """Linear light [3, M] that the camera receives from each point (Lambert, Blinn, inverse squares)."""
    chunk = surface.chunk
    colour = _reflectance(surface)
    gloss, glow = surface.columns("gloss", "glow")
    back = -surface.direction.flatten(1)
    back = back / length(back)
    light = glow * colour * 1.2
    light = light + surface.by_ray(chunk.ambient) * _openness(surface) * colour * (0.8 + 0.2 * surface.normal[1])
    for index in range(2):
        position = surface.by_ray(chunk.lamp[:, index].t())
        toward = position - surface.point
        square = (toward[0] ** 2 + toward[1] ** 2 + toward[2] ** 2).clamp_min(0.05)
        toward = toward / square.sqrt()
        facing = dot(surface.normal, toward).clamp_min(0)
        middle = toward + back
        shine = dot(surface.normal, middle / length(middle)).clamp_min(0)
        strength = surface.by_ray(chunk.power[:, index]) / (square + 2.0)
        if index == 0:
            strength = strength * (1 - 0.85 * _in_shadow(surface).float())
        light = light + strength * (colour * facing + gloss * _power40(shine)) * surface.by_ray(
            chunk.tint[:, index].t()
        )
    return light


def photograph(chunk: Chunk, light: Tensor) -> tuple[Tensor, Tensor]:
    """The picture without and with camera noise, [B, 3, H, W] in [0, 1], from linear light of that shape.

    Exposure aims at each scene's brightness. Its mean is a sum of whole numbers, whose order cannot matter.
    """
    level = (grey(light) * 65536).long().sum(dim=(1, 2, 3)).double() / light[0, 0].numel() / 65536
    gain = (chunk.brightness.double() ** 2 * 1.4 / level.clamp_min(1e-3)).float()
    exposed = light * gain[:, None, None, None]
    tone = (exposed / (1 + 0.35 * exposed)).clamp(0, 1).sqrt()
    clean = blur(tone + _CONTRAST * (tone * tone * (3 - 2 * tone) - tone), 0.45)
    noise = torch.stack([_noise(seed, clean.shape[1:]) for seed in chunk.noise_seeds])
    grain = chunk.grain[:, None, None, None] * (clean + 0.1).sqrt()
    return clean, (clean + grain * noise).clamp(0, 1)


def _reflectance(surface: Surface) -> Tensor:
    pattern, scale, salt = surface.columns("pattern", "scale", "salt")
    first, second = surface.columns("red", "green", "blue"), surface.columns("red2", "green2", "blue2")
    own = salt + surface.column("instance")
    colour = albedo(
        pattern, u=surface.u * scale, v=surface.v * scale, up=surface.up, salt=own, first=first, second=second
    )
    foot = (surface.column("label") == 1) & (surface.point[1] < _SKIRTING)
    colour = torch.where(foot, 0.25 * colour + 0.65, colour)
    return colour * (0.92 + 0.16 * value_noise(surface.u * 9, surface.v * 9, own + 3))


def _openness(surface: Surface) -> Tensor:
    """Share of ambient light that reaches a point: less near the sides of the room that meet its plane."""
    share = torch.ones_like(surface.depth)
    for axis in range(3):
        position = surface.point[axis]
        gap = torch.minimum(position, surface.by_ray(surface.chunk.room[:, axis]) - position).clamp_min(0)
        share = share * (1 - 0.5 * (1 - surface.normal[axis].abs()) * (0.15 / (0.15 + gap)))
    return share


def _in_shadow(surface: Surface) -> Tensor:
    """Whether a solid stands between the first light and a point. Rays start at the light, where all meet."""
    chunk = surface.chunk
    lamp = chunk.lamp[:, 0]
    point = (surface.point + 4e-3 * surface.normal).view_as(surface.direction)
    return blocked(lamp, point - lamp.t()[:, :, None], chunk.solids).flatten()


def _noise(seed: int, shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _power40(value: Tensor) -> Tensor:
    """value ** 40 by multiplication, which rounds alike everywhere."""
    eighth = ((value * value) ** 2) ** 2
    return ((eighth * eighth) ** 2) * eighth
