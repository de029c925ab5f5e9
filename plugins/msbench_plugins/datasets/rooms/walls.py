"""What hangs on the walls or lies flat on the floor: windows, doors, pictures, screens, curtains, mats."""

from __future__ import annotations

import colorsys
import math

from .builder import Builder, Footprint
from .labels import Nyu40
from .material import Pattern, any_colour, fabric, paint, wood_colour

_SIZES = {  # half width, half height, centre height, each a range in metres
    Nyu40.DOOR: ((0.4, 0.48), (1.02, 1.02), (1.02, 1.02)),
    Nyu40.WINDOW: ((0.4, 0.9), (0.4, 0.65), (1.4, 1.65)),
    Nyu40.TELEVISION: ((0.45, 0.8), (0.28, 0.45), (1.1, 1.4)),
    Nyu40.PICTURE: ((0.18, 0.55), (0.18, 0.42), (1.35, 1.75)),
}


def hang(build: Builder, label: Nyu40) -> None:
    """Put one such thing on a wall where there is room for it."""
    spot = _find_spot(build, label)
    if spot is None:
        return
    build.begin()
    at, y, half_height = spot
    if label == Nyu40.WINDOW:
        _window(build, at, y, half_height)
    elif label == Nyu40.DOOR:
        _door(build, at, y, half_height)
    elif label == Nyu40.TELEVISION:
        screen = paint(build.draw, (0.04, 0.04, 0.05), gloss=0.9)
        build.box(at, (0, y, 0), (at.half_width, half_height, 0.05), label, screen)
    else:
        _picture(build, at, y, half_height)


def _find_spot(build: Builder, label: Nyu40) -> tuple[Footprint, float, float] | None:
    """Footprint on a wall (local z points into the room), centre height and half height."""
    draw, (width, height, length) = build.draw, build.room
    half_width, half_height, y = (draw.between(*bounds) for bounds in _SIZES[label])
    half_height = max(0.15, min(half_height, height - 0.06 - y))
    side = draw.count(0, 3)
    span = width if side in (0, 3) else length
    along = draw.between(half_width + 0.1, max(span - half_width - 0.1, half_width + 0.11))
    for other_side, other_along, other_width, other_y, other_height in build.on_walls:
        near = abs(along - other_along) < half_width + other_width + 0.1
        if side == other_side and near and abs(y - other_y) < half_height + other_height + 0.1:
            return None
    x, z, yaw = (
        (along, length, math.pi),
        (0.0, along, math.pi / 2),
        (width, along, -math.pi / 2),
        (along, 0.0, 0.0),
    )[side]
    at = Footprint(x, z, yaw, half_width, 0.05)
    if label == Nyu40.DOOR:
        doorway = Footprint(*at.world(0, 0.3), yaw, half_width, 0.3)
        if any(doorway.overlaps(other) for other in build.taken):
            return None
        build.taken.append(doorway)
    build.on_walls.append((side, along, half_width, y, half_height))
    return at, y, half_height


def _window(build: Builder, at: Footprint, y: float, h: float) -> None:
    draw, w = build.draw, at.half_width
    sky = colorsys.hsv_to_rgb(draw.between(0.5, 0.65), draw.between(0.1, 0.5), draw.between(0.7, 1))
    ground = colorsys.hsv_to_rgb(draw.between(0.1, 0.4), draw.between(0.1, 0.5), draw.between(0.3, 0.9))
    frame = paint(draw, (0.9, 0.9, 0.88))
    pane = paint(draw, sky, Pattern.SKY, draw.between(0.5, 2), second=ground, glow=draw.between(0.35, 0.8))
    build.box(at, (0, y, 0), (w + 0.06, h + 0.06, 0.03), Nyu40.WINDOW, frame)
    build.box(at, (0, y, 0), (w, h, 0.04), Nyu40.WINDOW, pane)
    build.box(at, (0, y, 0), (0.025, h, 0.05), Nyu40.WINDOW, frame)
    x, z = at.world(0, 0.2)
    build.window = (x, y, z)
    if draw.chance(0.35):
        build.begin()
        cloth = fabric(draw)
        for side in (-1, 1):
            build.box(at, (side * (w + 0.08), y - 0.1, 0), (0.14, h + 0.25, 0.07), Nyu40.CURTAIN, cloth)


def _door(build: Builder, at: Footprint, y: float, h: float) -> None:
    draw, w = build.draw, at.half_width
    colour = wood_colour(draw) if draw.chance(0.6) else any_colour(draw, (0.0, 0.4))
    leaf = paint(draw, colour, Pattern.DRAWER, 1.5, gloss=0.2)
    build.box(at, (0, y, 0), (w + 0.06, h + 0.05, 0.02), Nyu40.DOOR, paint(draw, any_colour(draw, (0.0, 0.2))))
    build.box(at, (0, y, 0), (w, h, 0.03), Nyu40.DOOR, leaf)
    build.sphere(at, (w * 0.82, 1.0, 0.07), 0.04, Nyu40.DOOR, paint(draw, (0.75, 0.7, 0.5), gloss=0.9))


def _picture(build: Builder, at: Footprint, y: float, h: float) -> None:
    draw, w = build.draw, at.half_width
    pattern = draw.pick((Pattern.NOISE, Pattern.CHECK, Pattern.PLANK, Pattern.SKY))
    canvas = paint(draw, any_colour(draw), pattern, draw.between(2, 8), second=any_colour(draw))
    build.box(at, (0, y, 0), (w, h, 0.025), Nyu40.PICTURE, paint(draw, any_colour(draw, value=(0.1, 0.9))))
    build.box(at, (0, y, 0), (w * 0.88, h * 0.86, 0.03), Nyu40.PICTURE, canvas)


def floor_mat(build: Builder) -> None:
    """A rug that furniture may stand on."""
    draw, (width, _, length) = build.draw, build.room
    at = Footprint(
        width / 2 + draw.between(-0.6, 0.6),
        length / 2 + draw.between(-0.6, 0.6),
        draw.between(-0.5, 0.5),
        0,
        0,
    )
    build.begin()
    half = (draw.between(0.6, 1.2), 0.006, draw.between(0.5, 1.0))
    build.box(at, (0, half[1], 0), half, Nyu40.FLOOR_MAT, fabric(draw))
