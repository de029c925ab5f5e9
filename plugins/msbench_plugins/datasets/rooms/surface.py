"""Camera rays, the room's shell, and what the hit points look like geometrically."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .builder import Shape
from .intersect import box_face, enters_cap, first_hits, to_frame, to_world
from .pack import COLUMNS, Chunk, Solids


@dataclass(frozen=True)
class Surface:
    """The M = B * N points that the rays of a chunk hit, scene by scene.

    depth: [M], metres along the camera's axis. point, normal: [3, M] in the world, the normal facing the eye.
    u, v: metres along the surface. up: height within the solid, 0 to 1. row: of the chunk's surface table.
    """

    chunk: Chunk
    direction: Tensor
    depth: Tensor
    point: Tensor
    normal: Tensor
    u: Tensor
    v: Tensor
    up: Tensor
    row: Tensor

    def column(self, name: str) -> Tensor:
        """One column of the surface table at every point, [M]."""
        return self.chunk.table[COLUMNS.index(name)][self.row]

    def columns(self, *names: str) -> Tensor:
        return torch.stack([self.column(name) for name in names])

    def by_ray(self, per_scene: Tensor) -> Tensor:
        """Values per scene, [..., B], at every point, [..., M]."""
        return per_scene.repeat_interleave(self.direction.shape[2], dim=-1)


def camera_rays(chunk: Chunk, size: int) -> Tensor:
    """Directions [3, B, size * size] through the pixels' centres, with a forward component of exactly one.

    The ray parameter of a hit is therefore its depth along the camera's axis.
    """
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    across = steps.repeat(size) * chunk.tangent[:, None]
    upward = -steps.repeat_interleave(size) * chunk.tangent[:, None]
    axes = [
        across * chunk.right[:, i : i + 1] + upward * chunk.up[:, i : i + 1] + chunk.forward[:, i : i + 1]
        for i in range(3)
    ]
    rays = torch.stack(axes)
    return torch.where(rays.abs() < 1e-6, 1e-6, rays)


def trace(chunk: Chunk, direction: Tensor) -> Surface:
    """What the rays [3, B, N] from the cameras hit."""
    exits, axis = _shell(chunk, direction)
    upward = direction[1] > 0
    row = torch.where(axis == 1, torch.where(upward, 2, 1), 0)
    depth, row = first_hits(chunk.eye, direction, chunk.solids, exits, row)
    spread = direction.shape[2]
    flat_direction, flat_depth = direction.flatten(1), depth.flatten()
    eye = chunk.eye.t().repeat_interleave(spread, dim=1)
    point = eye + flat_depth * flat_direction
    normal, uv = torch.zeros_like(point), torch.zeros_like(point)
    where = (row.flatten() < 3).nonzero().squeeze(1)
    normal[:, where], uv[:, where] = _room_surface(
        point[:, where], flat_direction[:, where], axis.flatten()[where], _height(chunk, where, spread)
    )
    flat_row = (row + torch.arange(len(chunk))[:, None] * chunk.rows).flatten()
    for solids in chunk.solids:
        inside = (row >= solids.row) & (row < solids.row + solids.centre.shape[1])
        where = inside.flatten().nonzero().squeeze(1)
        if len(where):
            part = _solid_surface(
                chunk,
                solids,
                row=flat_row[where],
                eye=eye[:, where],
                direction=flat_direction[:, where],
                depth=flat_depth[where],
            )
            normal[:, where], uv[:, where] = part
    u, v, up = uv
    return Surface(chunk, direction, flat_depth, point, normal, u, v, up, flat_row)


def _height(chunk: Chunk, where: Tensor, spread: int) -> Tensor:
    return chunk.room[:, 1][where // spread]


def _shell(chunk: Chunk, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays leave the box room, and through the sides across which axis."""
    exits = [
        (torch.where(direction[i] > 0, chunk.room[:, i : i + 1], 0.0) - chunk.eye[:, i : i + 1]) / direction[i]
        for i in range(3)
    ]
    nearest = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    axis = torch.where(nearest == exits[1], 1, torch.where(nearest == exits[0], 0, 2))
    return nearest, axis


def _room_surface(point: Tensor, direction: Tensor, axis: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
    normal = torch.stack([torch.where(axis == i, -direction[i].sign(), 0.0) for i in range(3)])
    u = torch.where(axis == 0, point[2], point[0])
    v = torch.where(axis == 1, point[2], point[1])
    return normal, torch.stack([u, v, point[1] / height])


def _solid_surface(
    chunk: Chunk, solids: Solids, *, row: Tensor, eye: Tensor, direction: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """Normal [3, M] and (u, v, up) [3, M] where rays enter solids of one shape."""
    x, y, z, hx, hy, hz, c, s = (chunk.table[i][row] for i in range(8))
    origin = to_frame(c, s, eye[0] - x, eye[1] - y, eye[2] - z)
    ray = to_frame(c, s, *direction)
    lx, ly, lz = (o + depth * d for o, d in zip(origin, ray, strict=True))
    if solids.shape == Shape.BOX:
        face = box_face(origin, ray, (hx, hy, hz))
        local = torch.stack([torch.where(face == i, -ray[i].sign(), 0.0) for i in range(3)])
        u, v = torch.where(face == 0, lz, lx), torch.where(face == 1, lz, ly)
    elif solids.shape == Shape.CYLINDER:
        cap = enters_cap(origin, ray, (hx, hy, hz))
        local = torch.stack(
            [
                torch.where(cap, 0.0, lx / hx),
                torch.where(cap, -ray[1].sign(), 0.0),
                torch.where(cap, 0.0, lz / hx),
            ]
        )
        u, v = torch.where(cap, lx, _around(lx, lz)), torch.where(cap, lz, ly)
    else:
        local, u, v = torch.stack([lx, ly, lz]) / hx, _around(lx, lz), ly
    local = local / (local[0] ** 2 + local[1] ** 2 + local[2] ** 2).sqrt()
    normal = torch.stack(to_world(c, s, *local))
    return normal, torch.stack([u, v, (ly / hy + 1) * 0.5])


def _around(x: Tensor, z: Tensor) -> Tensor:
    """A coordinate that runs around the vertical: the taxicab angle, as atan2 depends on the machine."""
    ratio = z / (x.abs() + z.abs()).clamp_min(1e-9)
    return 0.5 * torch.where(x >= 0, ratio, torch.where(z >= 0, 2 - ratio, -2 - ratio))
