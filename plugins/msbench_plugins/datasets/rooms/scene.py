"""One furnished room with its camera and lights, as a function of (seed, part, index, attempt) alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .builder import Builder, Footprint, Primitive, Vector
from .draw import Draw
from .furniture import LARGE, Piece, bookshelf, cabinet, chair, floor_lamp, table
from .labels import Nyu40
from .material import Material, Pattern, any_colour, paint, wood_colour
from .props import ball, boxes, plant
from .walls import floor_mat, hang

SMALL: tuple[Piece, ...] = (chair, chair, floor_lamp, plant, ball, boxes, cabinet, table, bookshelf)
"""What fills the rest of the floor, drawn with replacement."""

_ON_WALLS = (
    (Nyu40.DOOR, 0.7),
    (Nyu40.WINDOW, 0.75),
    (Nyu40.WINDOW, 0.4),
    (Nyu40.PICTURE, 0.8),
    (Nyu40.PICTURE, 0.6),
    (Nyu40.PICTURE, 0.4),
    (Nyu40.TELEVISION, 0.4),
)


@dataclass(frozen=True)
class Camera:
    """A pinhole at `eye` (metres) with an orthonormal frame; `tangent` of half the field of view."""

    eye: Vector
    right: Vector
    up: Vector
    forward: Vector
    tangent: float

    @classmethod
    def looking(cls, eye: Vector, target: Vector, tangent: float, roll: float = 0.0) -> Camera:
        """A camera aimed at a point, turned by `roll` radians about its axis."""
        fx, fy, fz = (b - a for a, b in zip(eye, target, strict=True))
        norm = math.sqrt(fx * fx + fy * fy + fz * fz)
        fx, fy, fz = fx / norm, fy / norm, fz / norm
        flat = math.hypot(fx, fz)
        rx, rz = fz / flat, -fx / flat
        ux, uy, uz = fy * rz, fz * rx - fx * rz, -fy * rx
        c, s = math.cos(roll), math.sin(roll)
        right = (c * rx + s * ux, s * uy, c * rz + s * uz)
        up = (c * ux - s * rx, c * uy, c * uz - s * rz)
        return cls(eye, right, up, (fx, fy, fz), tangent)


@dataclass(frozen=True)
class Light:
    """A point light: position, colour, intensity."""

    position: Vector
    tint: Vector
    power: float


@dataclass(frozen=True)
class Scene:
    """A box room from (0, 0, 0) to `room` (metres, y up) with its content. The first light casts shadows.

    surfaces: materials of walls, floor, ceiling. brightness: mean grey that the exposure aims at.
    grain: standard deviation of the camera's noise. noise_seed: of that noise.
    """

    room: Vector
    surfaces: tuple[Material, Material, Material]
    primitives: tuple[Primitive, ...]
    camera: Camera
    lights: tuple[Light, Light]
    ambient: float
    brightness: float
    grain: float
    noise_seed: int


def sample_scene(seed: int, part: str, index: int, attempt: int = 0) -> Scene:
    """Scene `index` of a part; `attempt` counts the views of it that were rejected (see `choose`)."""
    draw = Draw(seed, part, index, attempt)
    room = (draw.between(2.8, 4.8), draw.between(2.3, 2.9), draw.between(3.0, 5.2))
    build = Builder(draw, room)
    eye = _eye(draw, room)
    build.taken.append(Footprint(eye[0], eye[2], 0.0, 0.45, 0.45))
    surfaces = _surfaces(draw)
    _furnish(build)
    return Scene(
        room,
        surfaces,
        tuple(build.primitives),
        _camera(build, eye),
        _lights(build),
        ambient=draw.between(0.12, 0.3),
        brightness=draw.between(0.34, 0.55),
        grain=draw.between(0.006, 0.025),
        noise_seed=draw.noise_seed(),
    )


def _eye(draw: Draw, room: Vector) -> Vector:
    """Near a wall, at the height of a person's eyes or of a hand-held camera."""
    width, _, length = room
    margin, side = 0.35, draw.count(0, 3)
    x, z = draw.between(margin, width - margin), draw.between(margin, length - margin)
    x, z = ((x, margin), (margin, z), (width - margin, z), (x, length - margin))[side]
    return x, draw.between(1.05, 1.75), z


def _surfaces(draw: Draw) -> tuple[Material, Material, Material]:
    wall_pattern = draw.pick((Pattern.PLAIN, Pattern.PLAIN, Pattern.PLANK, Pattern.BRICK, Pattern.NOISE))
    floor_pattern = draw.pick((Pattern.PLANK, Pattern.PLANK, Pattern.CHECK, Pattern.NOISE, Pattern.PLAIN))
    wall = paint(draw, any_colour(draw, (0.02, 0.45), (0.55, 0.95)), wall_pattern, draw.between(1.5, 6))
    floor_colour = wood_colour(draw) if draw.chance(0.6) else any_colour(draw, (0.0, 0.4))
    floor = paint(draw, floor_colour, floor_pattern, draw.between(2, 7), gloss=draw.between(0, 0.4))
    return wall, floor, paint(draw, any_colour(draw, (0.0, 0.12), (0.75, 1.0)))


def _furnish(build: Builder) -> None:
    draw = build.draw
    if draw.chance(0.5):
        floor_mat(build)
    for label, probability in _ON_WALLS:
        if draw.chance(probability):
            hang(build, label)
    for piece in draw.shuffled(LARGE)[: draw.count(4, 7)]:
        piece(build)
    for _ in range(draw.count(4, 9)):
        draw.pick(SMALL)(build)


def _camera(build: Builder, eye: Vector) -> Camera:
    """Aimed between the middle of the room and a piece of furniture, rather a large one."""
    draw, (width, _, length) = build.draw, build.room
    pieces = build.taken[1:] or [Footprint(width / 2, length / 2, 0.0, 0.0, 0.0)]
    aim = max((draw.pick(pieces), draw.pick(pieces)), key=lambda piece: piece.half_width * piece.half_depth)
    k = draw.between(0.5, 0.9)
    x, z = k * aim.x + (1 - k) * width / 2, k * aim.z + (1 - k) * length / 2
    if math.hypot(x - eye[0], z - eye[2]) < 1.0:
        x, z = width - eye[0], length - eye[2]
    target = (x, draw.between(0.35, 1.15), z)
    tangent = math.tan(math.radians(draw.between(54, 68)) / 2)
    return Camera.looking(eye, target, tangent, roll=math.radians(draw.between(-4, 4)))


def _lights(build: Builder) -> tuple[Light, Light]:
    """A lamp under the ceiling, and a softer one at the window if there is one."""
    draw, (width, height, length) = build.draw, build.room
    lamp = (width * draw.between(0.3, 0.7), height - draw.between(0.1, 0.4), length * draw.between(0.3, 0.7))
    anywhere = (
        draw.between(0.2, width - 0.2),
        draw.between(1.0, height - 0.2),
        draw.between(0.2, length - 0.2),
    )
    warm, cold = draw.between(-0.15, 0.2), draw.between(-0.2, 0.1)
    return (
        Light(lamp, (1 + warm, 1.0, 1 - warm), draw.between(3.0, 7.0)),
        Light(build.window or anywhere, (1 + cold, 1.0, 1 - cold), draw.between(0.8, 3.0)),
    )
