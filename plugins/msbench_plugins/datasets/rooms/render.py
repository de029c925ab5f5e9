"""Scenes to pictures and exact targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from .filters import blur, dot, grey, length, sobel
from .labels import VOID, Nyu40
from .pack import Chunk, pack
from .scene import Scene
from .shade import photograph, radiance
from .surface import Surface, camera_rays, trace
from .texture import lattice

_RAYS_AT_ONCE: Final = 32768
"""A chunk of about this many rays stays in the second-level cache."""

_GRAZING: Final = 0.08
"""Cosine of the angle (85.4 degrees) from which on a depth camera sees nothing."""


@dataclass(frozen=True)
class Rendered:
    """B pictures of S x S pixels with their targets, exact at the pixels' centres.

    image: uint8 [B, 3, S, S]. label: uint8 [B, S, S], NYU-40 (1 to 40), 0 = void. instance: int16 [B, S, S].
    depth: float32 [B, S, S], metres along the camera's axis. normal: float32 [B, 3, S, S], unit, x right,
    y up, z toward the camera. edges: float32 [B, S, S] in [0, 1]. valid: bool [B, S, S], where a depth camera
    would have a reading; depth and normal are exact everywhere.
    """

    image: Tensor
    label: Tensor
    instance: Tensor
    depth: Tensor
    normal: Tensor
    edges: Tensor
    valid: Tensor


@torch.no_grad()
def render(scenes: Sequence[Scene], size: int, supersampling: int = 1, at_once: int | None = None) -> Rendered:
    """Render scenes; `at_once` of them share a chunk, which changes the speed and nothing else."""
    at_once = at_once or max(1, _RAYS_AT_ONCE // (size * supersampling) ** 2)
    parts = [
        _render_chunk(pack(scenes[start : start + at_once]), size, supersampling)
        for start in range(0, len(scenes), at_once)
    ]
    return Rendered(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Rendered)})


@torch.no_grad()
def glance(scenes: Sequence[Scene], size: int = 16) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Label, instance and depth of each scene, flat [size * size], without light and colour."""
    chunk = pack(scenes)
    surface = trace(chunk, camera_rays(chunk, size))
    stacked = torch.stack([surface.column("label"), surface.column("instance"), surface.depth])
    for label, instance, depth in stacked.view(3, len(scenes), -1).unbind(1):
        yield label.int(), instance.int(), depth


def _render_chunk(chunk: Chunk, size: int, supersampling: int) -> Rendered:
    surface = trace(chunk, camera_rays(chunk, size))
    fine = surface if supersampling == 1 else trace(chunk, camera_rays(chunk, size * supersampling))
    light = _image(radiance(fine), len(chunk), size * supersampling)
    clean, noisy = photograph(chunk, _average(light, supersampling))

    grid = (len(chunk), size, size)
    label, instance = surface.column("label").view(grid), surface.column("instance").view(grid)
    depth, normal = surface.depth.view(grid), _camera_normal(surface, size)
    jump, boundary = _discontinuities(depth, instance)
    valid = ~(_grazing(surface).view(grid) | (jump > 0.2) | _glass_holes(chunk, label, size))
    void = (boundary | (jump > 0.12)) & ~valid
    return Rendered(
        image=(noisy * 255 + 0.5).to(torch.uint8),
        label=label.masked_fill(void, VOID).to(torch.uint8),
        instance=instance.to(torch.int16),
        depth=depth,
        normal=normal,
        edges=_texture_edges(clean)[:, 0],
        valid=valid,
    )


def _image(values: Tensor, count: int, size: int) -> Tensor:
    """[C, B * S * S] as [B, C, S, S]."""
    return values.view(-1, count, size, size).transpose(0, 1)


def _average(image: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return image
    total = image[..., ::factor, ::factor]
    for index in range(1, factor * factor):
        total = total + image[..., index // factor :: factor, index % factor :: factor]
    return total / factor**2


def _camera_normal(surface: Surface, size: int) -> Tensor:
    chunk, normal = surface.chunk, surface.normal
    axes = [dot(surface.by_ray(axis.t()), normal) for axis in (chunk.right, chunk.up, -chunk.forward)]
    return _image(torch.stack(axes), len(chunk), size).contiguous()


def _discontinuities(depth: Tensor, instance: Tensor) -> tuple[Tensor, Tensor]:
    """Relative spread of depth in the 3 x 3 window of each pixel, and whether two instances meet there."""

    def spread(values: Tensor) -> Tensor:
        return (F.max_pool2d(values, 3, 1, 1) + F.max_pool2d(-values, 3, 1, 1))[:, 0]

    return spread(depth[:, None]) / depth, spread(instance[:, None]) > 0


def _grazing(surface: Surface) -> Tensor:
    direction = surface.direction.flatten(1)
    return -dot(surface.normal, direction) / length(direction) < _GRAZING


def _glass_holes(chunk: Chunk, label: Tensor, size: int) -> Tensor:
    """A depth camera loses most readings on window panes, at random."""
    steps = torch.arange(size, dtype=torch.float32)
    salt = torch.tensor([seed % 2**31 for seed in chunk.noise_seeds], dtype=torch.int32)
    lost = lattice(steps[None, None, :], steps[None, :, None], salt[:, None, None]) < 0.6
    return (label == Nyu40.WINDOW) & lost


def _texture_edges(clean: Tensor) -> Tensor:
    """Taskonomy's edge_texture: Canny's gradient, not thinned, sigma 3 at 512 pixels, clipped at 0.08."""
    sigma = max(3 * clean.shape[-1] / 512, 0.7)
    return (sobel(blur(grey(clean), sigma)) / 0.08).clamp(0, 1)
