"""Scenes as tensors: what a chunk of rays needs to know about the solids, surfaces and lights around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .builder import Primitive, Shape
from .labels import Nyu40
from .scene import Scene

_ROOM: Final = ((Nyu40.WALL, 0), (Nyu40.FLOOR, 1), (Nyu40.CEILING, 2))
COLUMNS: Final = (
    "x", "y", "z", "half_x", "half_y", "half_z", "cosine", "sine", "label", "instance",
    "red", "green", "blue", "red2", "green2", "blue2", "pattern", "scale", "gloss", "glow", "salt",
)  # fmt: skip
"""What the surface table holds: first of the walls, the floor and the ceiling, then of every primitive."""


@dataclass(frozen=True)
class Solids:
    """The primitives of one shape, padded to P a scene: all [B, P] but centre and half, which are [B, P, 3].

    row: first row of these solids in the surface table. shadows: whether a solid is opaque to light.
    """

    shape: Shape
    row: int
    centre: Tensor
    half: Tensor
    cosine: Tensor
    sine: Tensor
    present: Tensor
    shadows: Tensor


@dataclass(frozen=True)
class Chunk:
    """B scenes as tensors: vectors [B, 3], numbers [B]; of the two lights [B, 2, 3] and [B, 2].

    table: [columns, B * rows], the surface table of `COLUMNS`; rows: rows a scene.
    """

    room: Tensor
    eye: Tensor
    right: Tensor
    up: Tensor
    forward: Tensor
    tangent: Tensor
    lamp: Tensor
    tint: Tensor
    power: Tensor
    ambient: Tensor
    brightness: Tensor
    grain: Tensor
    noise_seeds: tuple[int, ...]
    solids: tuple[Solids, ...]
    table: Tensor
    rows: int

    def __len__(self) -> int:
        return len(self.eye)


def pack(scenes: Sequence[Scene]) -> Chunk:
    """The tensors of these scenes, padded to the fullest of them; padding never changes what is rendered."""
    solids, blocks, row = [], [_room_rows(scenes)], len(_ROOM)
    for shape in Shape:
        found = [[p for p in scene.primitives if p.shape == shape] for scene in scenes]
        block = _padded_rows(found)
        solids.append(_solids(shape, row, found, block))
        blocks.append(block)
        row += block.shape[1]
    table = torch.cat(blocks, dim=1).permute(2, 0, 1).reshape(len(COLUMNS), -1).contiguous()
    cameras = [scene.camera for scene in scenes]
    return Chunk(
        room=torch.tensor([scene.room for scene in scenes]),
        eye=torch.tensor([camera.eye for camera in cameras]),
        right=torch.tensor([camera.right for camera in cameras]),
        up=torch.tensor([camera.up for camera in cameras]),
        forward=torch.tensor([camera.forward for camera in cameras]),
        tangent=torch.tensor([camera.tangent for camera in cameras]),
        lamp=torch.tensor([[light.position for light in scene.lights] for scene in scenes]),
        tint=torch.tensor([[light.tint for light in scene.lights] for scene in scenes]),
        power=torch.tensor([[light.power for light in scene.lights] for scene in scenes]),
        ambient=torch.tensor([scene.ambient for scene in scenes]),
        brightness=torch.tensor([scene.brightness for scene in scenes]),
        grain=torch.tensor([scene.grain for scene in scenes]),
        noise_seeds=tuple(scene.noise_seed for scene in scenes),
        solids=tuple(solids),
        table=table,
        rows=row,
    )


def _room_rows(scenes: Sequence[Scene]) -> Tensor:
    geometry = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    return torch.tensor(
        [
            [[*geometry, label, instance, *material.row()]
             for (label, instance), material in zip(_ROOM, scene.surfaces, strict=True)]
            for scene in scenes
        ]
    )  # fmt: skip


def _padded_rows(found: Sequence[Sequence[Primitive]]) -> Tensor:
    most = max(1, *map(len, found))
    padding = [0.0] * len(COLUMNS)
    rows = [[_row(p) for p in primitives] + [padding] * (most - len(primitives)) for primitives in found]
    return torch.tensor(rows)


def _row(p: Primitive) -> list[float]:
    return [*p.centre, *p.half, math.cos(p.yaw), math.sin(p.yaw), p.label, p.instance, *p.material.row()]


def _solids(shape: Shape, row: int, found: Sequence[Sequence[Primitive]], block: Tensor) -> Solids:
    present = torch.zeros(block.shape[:2], dtype=torch.bool)
    for scene, primitives in enumerate(found):
        present[scene, : len(primitives)] = True
    glow = block[..., COLUMNS.index("glow")]
    return Solids(
        shape,
        row,
        centre=block[..., 0:3].contiguous(),
        half=block[..., 3:6].contiguous(),
        cosine=block[..., 6].contiguous(),
        sine=block[..., 7].contiguous(),
        present=present,
        shadows=present & (glow < 0.25),
    )
