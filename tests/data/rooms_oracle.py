"""Hand-made rooms, and slow, plain double-precision ray casting to compare the renderer with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msbench_plugins.datasets.rooms.builder import Primitive, Shape
from msbench_plugins.datasets.rooms.labels import Nyu40
from msbench_plugins.datasets.rooms.material import Material
from msbench_plugins.datasets.rooms.scene import Camera, Light, Scene

Ray = tuple[float, float, float]
GREY = Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def hand_made(
    primitives: Sequence[Primitive] = (),
    eye: tuple[float, float, float] = (2.0, 1.5, 1.0),
    target: tuple[float, float, float] = (2.0, 1.5, 5.0),
) -> Scene:
    """A room of 4 x 3 x 5 m; the camera sees 90 degrees, so that a pixel's offset is its slope."""
    light = Light((2.0, 2.8, 2.5), (1.0, 1.0, 1.0), 5.0)
    camera = Camera.looking(eye, target, tangent=1.0)
    return Scene((4.0, 3.0, 5.0), (GREY, GREY, GREY), tuple(primitives), camera, (light, light), 0.2, 0.45, 0.01, 5)


def solid(shape: Shape, centre: tuple[float, float, float], half: tuple[float, float, float], yaw: float = 0.0,
          label: Nyu40 = Nyu40.BOX) -> Primitive:  # fmt: skip
    return Primitive(shape, centre, half, yaw, label, 3, GREY)


def ray_through(scene: Scene, row: int, column: int, size: int) -> Ray:
    camera = scene.camera
    a = ((column + 0.5) / size * 2 - 1) * camera.tangent
    b = (1 - (row + 0.5) / size * 2) * camera.tangent
    x, y, z = (f + a * r + b * u for f, r, u in zip(camera.forward, camera.right, camera.up, strict=True))
    return x, y, z


def cast(scene: Scene, ray: Ray) -> tuple[float, int]:
    """Depth and label of what one camera ray hits."""
    eye, best, label = scene.camera.eye, math.inf, 0
    for axis in range(3):
        for wall in (0.0, scene.room[axis]):
            t = (wall - eye[axis]) / ray[axis] if ray[axis] else -1.0
            if 0 < t < best and (wall > 0) == (ray[axis] > 0):
                best, label = t, 1 if axis != 1 else (2 if wall == 0 else 22)
    for primitive in scene.primitives:
        t = _hit(primitive, eye, ray)
        if t < best:
            best, label = t, primitive.label
    return best, label


def _hit(p: Primitive, eye: Ray, ray: Ray) -> float:
    """Least parameter at which the ray crosses the surface of a solid from outside; infinity if never."""
    o = _turned(p.yaw, [e - c for e, c in zip(eye, p.centre, strict=True)])
    d = _turned(p.yaw, list(ray))
    if p.shape == Shape.SPHERE:
        return min(_roots(d, o, p.half[0], (0, 1, 2)), default=math.inf)
    found = []
    if p.shape == Shape.CYLINDER:
        found += [t for t in _roots(d, o, p.half[0], (0, 2)) if abs(o[1] + t * d[1]) <= p.half[1]]
    for axis in (0, 1, 2) if p.shape == Shape.BOX else (1,):
        for side in (-p.half[axis], p.half[axis]):
            t = (side - o[axis]) / d[axis]
            at = [a + t * b for a, b in zip(o, d, strict=True)]
            if t > 0 and _within(p, at, axis):
                found.append(t)
    return min(found, default=math.inf)


def _within(p: Primitive, at: list[float], axis: int) -> bool:
    if p.shape == Shape.CYLINDER:
        return math.hypot(at[0], at[2]) <= p.half[0]
    return all(abs(at[i]) <= p.half[i] for i in range(3) if i != axis)


def _roots(d: list[float], o: list[float], radius: float, axes: tuple[int, ...]) -> list[float]:
    a, b = sum(d[i] ** 2 for i in axes), sum(o[i] * d[i] for i in axes)
    under = b * b - a * (sum(o[i] ** 2 for i in axes) - radius**2)
    return [t for t in ((-b - math.sqrt(under)) / a, (-b + math.sqrt(under)) / a) if t > 0] if under > 0 else []


def _turned(yaw: float, v: list[float]) -> list[float]:
    """Into the frame of a solid whose front, its local z axis, points to (sin yaw, cos yaw) on the floor."""
    c, s = math.cos(yaw), math.sin(yaw)
    return [c * v[0] - s * v[2], v[1], s * v[0] + c * v[2]]
