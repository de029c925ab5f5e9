"""Nearest hits of rays with the solids of a scene.

Rays of one scene share their origin (the camera, or a light), so a solid can only be hit by rays inside the
cone around its bounding sphere. Only those (ray, solid) pairs are computed, in flat tensors. All arithmetic
on them is elementwise, of operations that IEEE 754 rounds exactly, so that results do not depend on chunk
size, thread count or vector width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .builder import Shape
from .pack import Solids

_NEAR: Final = 1e-3
_NO_ROW: Final = 2**31 - 1


@dataclass(frozen=True)
class _Pairs:
    """M rays, each with one solid: flat positions [M], and the ray in the frame of the solid."""

    solid: Tensor
    ray: Tensor
    origin: tuple[Tensor, Tensor, Tensor]
    direction: tuple[Tensor, Tensor, Tensor]
    half: tuple[Tensor, Tensor, Tensor]


def first_hits(
    origin: Tensor, direction: Tensor, solids: tuple[Solids, ...], limit: Tensor, row: Tensor
) -> tuple[Tensor, Tensor]:
    """Ray parameter and surface row of the nearest hit.

    origin: [B, 3]. direction: [3, B, N], not necessarily of unit length. limit, row: [B, N], the hit so far
    (with the room's shell). Among equal parameters the solid with the lowest row wins.
    """
    nearest, winner = limit.flatten().clone(), row.flatten().clone()
    for group in solids:
        pairs = _candidates(origin, direction, group, group.present)
        t, hit = _enter(group.shape, pairs)
        kept = (hit & (t < nearest[pairs.ray])).nonzero().squeeze(1)
        t, ray = t[kept], pairs.ray[kept]
        nearest.scatter_reduce_(0, ray, t, "amin")
        won = (t == nearest[ray]).nonzero().squeeze(1)
        first = torch.full_like(winner, _NO_ROW)
        own_row = pairs.solid[kept][won] % group.centre.shape[1] + group.row
        first.scatter_reduce_(0, ray[won], own_row, "amin")
        winner = torch.where(first == _NO_ROW, winner, first)
    return nearest.view_as(limit), winner.view_as(row)


def blocked(origin: Tensor, direction: Tensor, solids: tuple[Solids, ...]) -> Tensor:
    """Whether an opaque solid lies between `origin` and `origin + direction`: bool [B, N]."""
    result = torch.zeros(direction.shape[1:], dtype=torch.bool)
    for group in solids:
        pairs = _candidates(origin, direction, group, group.shadows)
        t, hit = _enter(group.shape, pairs)
        result.view(-1)[pairs.ray[hit & (t < 0.999)]] = True
    return result


def box_face(origin: tuple[Tensor, ...], direction: tuple[Tensor, ...], half: tuple[Tensor, ...]) -> Tensor:
    """Axis (0, 1, 2) of the box face through which a ray enters, in the box's own frame."""
    x, y, z = (-o / _nonzero(d) - h / _nonzero(d).abs() for o, d, h in zip(origin, direction, half, strict=True))
    return torch.where((y >= x) & (y >= z), 1, torch.where(x >= z, 0, 2))


def enters_cap(origin: tuple[Tensor, ...], direction: tuple[Tensor, ...], half: tuple[Tensor, ...]) -> Tensor:
    """Whether a ray enters a cylinder through one of its caps."""
    side, _, cap, _ = _cylinder_spans(origin, direction, half)
    return cap > side


def to_frame(cosine: Tensor, sine: Tensor, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A vector of the world in the frame of a solid turned about the vertical."""
    return cosine * x - sine * z, y, sine * x + cosine * z


def to_world(cosine: Tensor, sine: Tensor, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of `to_frame`."""
    return cosine * x + sine * z, y, cosine * z - sine * x


def _candidates(origin: Tensor, direction: Tensor, solids: Solids, wanted: Tensor) -> _Pairs:
    """All pairs that may hit: the angle between ray and centre is at most that of the bounding sphere."""
    offset = solids.centre - origin[:, None]
    radius = solids.half.norm(dim=2) if solids.shape == Shape.BOX else _round_radius(solids)
    distance = offset.norm(dim=2).clamp_min(1e-6)
    cosine = (1 - (radius / distance).clamp(max=1.0) ** 2).sqrt()
    cosine = torch.where(distance <= radius, -2.0, cosine - 1e-4).masked_fill(~wanted, 2.0)
    unit = direction / (direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2).sqrt()
    toward = torch.bmm(offset / distance[..., None], unit.transpose(0, 1))
    position = (toward >= cosine[..., None]).flatten().nonzero().squeeze(1)
    spread = direction.shape[2]
    solid = position // spread
    ray = solid // solids.centre.shape[1] * spread + position % spread
    c, s = solids.cosine.flatten(), solids.sine.flatten()
    start = to_frame(c, s, *(-offset).flatten(0, 1).unbind(1))
    dx, dy, dz = (axis.flatten()[ray] for axis in direction)
    return _Pairs(
        solid,
        ray,
        origin=(start[0][solid], start[1][solid], start[2][solid]),
        direction=to_frame(c[solid], s[solid], dx, dy, dz),
        half=_columns(solids.half.flatten(0, 1), solid),
    )


def _columns(values: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y, z = values.unbind(1)
    return x[rows], y[rows], z[rows]


def _round_radius(solids: Solids) -> Tensor:
    if solids.shape == Shape.SPHERE:
        return solids.half[..., 0]
    return (solids.half[..., 0] ** 2 + solids.half[..., 1] ** 2).sqrt()


def _enter(shape: Shape, pairs: _Pairs) -> tuple[Tensor, Tensor]:
    """Parameter at which the ray enters, and whether it does so in front of its origin."""
    if shape == Shape.BOX:
        near, far = _slabs(pairs.origin, pairs.direction, pairs.half)
        return near, (near < far) & (near > _NEAR)
    if shape == Shape.SPHERE:
        return _enter_sphere(pairs)
    side, side_end, cap, cap_end = _cylinder_spans(pairs.origin, pairs.direction, pairs.half)
    near, far = torch.maximum(side, cap), torch.minimum(side_end, cap_end)
    return near, (near < far) & (near > _NEAR)


def _slabs(
    origin: tuple[Tensor, ...], direction: tuple[Tensor, ...], half: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    near = far = None
    for o, d, h in zip(origin, direction, half, strict=True):
        inverse = 1 / _nonzero(d)
        middle, reach = -o * inverse, h * inverse.abs()
        near = middle - reach if near is None else torch.maximum(near, middle - reach)
        far = middle + reach if far is None else torch.minimum(far, middle + reach)
    assert near is not None
    assert far is not None
    return near, far


def _enter_sphere(pairs: _Pairs) -> tuple[Tensor, Tensor]:
    (ox, oy, oz), (dx, dy, dz), (radius, _, _) = pairs.origin, pairs.direction, pairs.half
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    under = b * b - a * (ox * ox + oy * oy + oz * oz - radius * radius)
    t = (-b - under.clamp_min(0).sqrt()) / a
    return t, (under > 0) & (t > _NEAR)


def _cylinder_spans(
    origin: tuple[Tensor, ...], direction: tuple[Tensor, ...], half: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Parameters of entry and exit of the endless tube, then of the slab between the caps."""
    (ox, oy, oz), (dx, dy, dz), (radius, height, _) = origin, direction, half
    a = (dx * dx + dz * dz).clamp_min(1e-12)
    b = ox * dx + oz * dz
    under = b * b - a * (ox * ox + oz * oz - radius * radius)
    root = under.clamp_min(0).sqrt()
    missed = under <= 0
    side = ((-b - root) / a).masked_fill(missed, torch.inf)
    side_end = ((-b + root) / a).masked_fill(missed, -torch.inf)
    inverse = 1 / _nonzero(dy)
    middle, reach = -oy * inverse, height * inverse.abs()
    return side, side_end, middle - reach, middle + reach


def _nonzero(value: Tensor) -> Tensor:
    return torch.where(value.abs() < 1e-9, 1e-9, value)
