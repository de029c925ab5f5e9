"""Puts primitives into a room without letting pieces of furniture run into one another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from .draw import Draw
from .labels import Nyu40
from .material import Material

Vector = tuple[float, float, float]


class Shape(IntEnum):
    """Kinds of primitives: a box turned about the vertical, an upright cylinder with caps, a sphere."""

    BOX = 0
    CYLINDER = 1
    SPHERE = 2


@dataclass(frozen=True)
class Primitive:
    """A solid. `half`: half extents in metres (cylinder: radius, half height, radius; sphere: radius)."""

    shape: Shape
    centre: Vector
    half: Vector
    yaw: float
    label: Nyu40
    instance: int
    material: Material


@dataclass(frozen=True)
class Footprint:
    """A rectangle on the floor: centre, heading, half width (local x) and half depth (local z)."""

    x: float
    z: float
    yaw: float
    half_width: float
    half_depth: float

    def world(self, dx: float, dz: float) -> tuple[float, float]:
        """Floor point of local offsets; local z is the front of a piece of furniture."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + cosine * dx + sine * dz, self.z - sine * dx + cosine * dz

    @cached_property
    def reach(self) -> float:
        return math.hypot(self.half_width, self.half_depth)

    @cached_property
    def corners(self) -> list[tuple[float, float]]:
        w, d = self.half_width, self.half_depth
        return [self.world(dx, dz) for dx, dz in ((-w, -d), (-w, d), (w, -d), (w, d))]

    def overlaps(self, other: Footprint) -> bool:
        """Separating axes: two rectangles are apart when one of their side directions tells them apart."""
        if (self.x - other.x) ** 2 + (self.z - other.z) ** 2 > (self.reach + other.reach) ** 2:
            return False
        mine, theirs = self.corners, other.corners
        for yaw in (self.yaw, self.yaw + math.pi / 2, other.yaw, other.yaw + math.pi / 2):
            cosine, sine = math.cos(yaw), math.sin(yaw)
            a = [cosine * x - sine * z for x, z in mine]
            b = [cosine * x - sine * z for x, z in theirs]
            if max(a) < min(b) or max(b) < min(a):
                return False
        return True


@dataclass
class Builder:
    """A room (width x, height y, length z in metres) that fills with primitives.

    Instances 0, 1 and 2 are the walls, the floor and the ceiling; `begin` starts the next one.
    """

    draw: Draw
    room: Vector
    primitives: list[Primitive] = field(default_factory=list)
    taken: list[Footprint] = field(default_factory=list)
    on_walls: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    window: Vector | None = None
    instance: int = 2

    def begin(self) -> None:
        self.instance += 1

    def add(
        self,
        shape: Shape,
        centre: Vector,
        half: Vector,
        label: Nyu40,
        material: Material,
        *,
        yaw: float = 0.0,
    ) -> None:
        self.primitives.append(Primitive(shape, centre, half, yaw, label, self.instance, material))

    def box(
        self,
        at: Footprint,
        offset: Vector,
        half: Vector,
        label: Nyu40,
        material: Material,
        *,
        turn: float = 0.0,
    ) -> None:
        """A box at a local offset (y from the floor) of a piece that stands at `at`."""
        x, z = at.world(offset[0], offset[2])
        self.add(Shape.BOX, (x, offset[1], z), half, label, material, yaw=at.yaw + turn)

    def cylinder(
        self,
        at: Footprint,
        offset: Vector,
        size: tuple[float, float],
        label: Nyu40,
        material: Material,
    ) -> None:
        """A cylinder at a local offset; size: radius and half height."""
        (radius, half_height), (x, z) = size, at.world(offset[0], offset[2])
        self.add(Shape.CYLINDER, (x, offset[1], z), (radius, half_height, radius), label, material)

    def sphere(self, at: Footprint, offset: Vector, radius: float, label: Nyu40, material: Material) -> None:
        """A sphere at a local offset."""
        x, z = at.world(offset[0], offset[2])
        self.add(Shape.SPHERE, (x, offset[1], z), (radius, radius, radius), label, material)

    def is_free(self, footprint: Footprint, beside: Footprint | None = None) -> bool:
        """Whether a footprint lies in the room and on no other, except the one that it belongs `beside`."""
        width, _, length = self.room
        inside = all(0 <= x <= width and 0 <= z <= length for x, z in footprint.corners)
        return inside and not any(footprint.overlaps(other) for other in self.taken if other is not beside)

    def against_wall(self, half_width: float, half_depth: float) -> Footprint | None:
        """A free place with the back to a wall, or None after some tries; begins an instance there."""
        gap = 0.02

        def propose() -> Footprint:
            width, _, length = self.room
            side = self.draw.count(0, 3)
            span, away = (width if side in (0, 3) else length), half_depth + gap
            along = self.draw.between(half_width + gap, max(span - half_width - gap, half_width + 2 * gap))
            x, z, yaw = (
                (along, length - away, math.pi),
                (away, along, math.pi / 2),
                (width - away, along, -math.pi / 2),
                (along, away, 0.0),
            )[side]
            return Footprint(x, z, yaw, half_width, half_depth)

        return self._first_free(propose)

    def anywhere(self, half_width: float, half_depth: float) -> Footprint | None:
        """A free place on the floor, turned at will, or None after some tries; begins an instance there."""

        def propose() -> Footprint:
            width, _, length = self.room
            x, z = self.draw.between(0, width), self.draw.between(0, length)
            return Footprint(x, z, self.draw.between(0, 2 * math.pi), half_width, half_depth)

        return self._first_free(propose)

    def _first_free(self, propose: Callable[[], Footprint]) -> Footprint | None:
        for _ in range(14):
            footprint = propose()
            if self.is_free(footprint):
                self.taken.append(footprint)
                self.begin()
                return footprint
        return None
