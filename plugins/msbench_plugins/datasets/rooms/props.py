"""Small things: on tables and shelves, and loose on the floor."""

from __future__ import annotations

import colorsys

from .builder import Builder, Footprint, Vector
from .labels import Nyu40
from .material import Pattern, any_colour, paint, wood, wood_colour


def clutter(build: Builder, at: Footprint, half: tuple[float, float], height: float, *, most: int) -> None:
    """Up to `most` books, boxes, vases or table lamps on a surface at this height, side by side."""
    half_width, half_depth = half
    draw = build.draw
    count = draw.count(0, most)
    for slot in range(count):
        build.begin()
        cell = 2 * half_width / count
        dx = -half_width + cell * (slot + draw.between(0.3, 0.7))
        _thing(build, at, dx, draw.between(-half_depth, half_depth), height)


def _thing(build: Builder, at: Footprint, dx: float, dz: float, y: float) -> None:
    draw = build.draw
    kind = draw.between()
    if kind < 0.3:
        for _ in range(draw.count(1, 3)):
            half = (draw.between(0.09, 0.14), draw.between(0.015, 0.03), draw.between(0.07, 0.1))
            cover = paint(draw, any_colour(draw))
            build.box(at, (dx, y + half[1], dz), half, Nyu40.BOOKS, cover, turn=draw.between(-0.4, 0.4))
            y += 2 * half[1]
    elif kind < 0.55:
        half = (draw.between(0.06, 0.16), draw.between(0.06, 0.16), draw.between(0.06, 0.14))
        build.box(at, (dx, y + half[1], dz), half, Nyu40.BOX, wood(draw), turn=draw.between(-0.6, 0.6))
    elif kind < 0.72:
        radius = draw.between(0.05, 0.12)
        build.sphere(at, (dx, y + radius, dz), radius, Nyu40.OTHERPROP, paint(draw, any_colour(draw), gloss=0.6))
    elif kind < 0.88:
        radius, half_height = draw.between(0.03, 0.08), draw.between(0.06, 0.18)
        vase = paint(draw, any_colour(draw), gloss=0.5)
        build.cylinder(at, (dx, y + half_height, dz), (radius, half_height), Nyu40.OTHERPROP, vase)
    else:
        half_height = draw.between(0.1, 0.16)
        foot, shade = paint(draw, (0.3, 0.3, 0.3)), paint(draw, (1.0, 0.93, 0.75), glow=0.8)
        build.cylinder(at, (dx, y + half_height, dz), (0.02, half_height), Nyu40.LAMP, foot)
        build.cylinder(at, (dx, y + 2 * half_height + 0.07, dz), (0.11, 0.09), Nyu40.LAMP, shade)


def row_of_books(build: Builder, at: Footprint, floor: float, space: Vector) -> None:
    """A row of spines on a shelf board at this height; space: half extents of the compartment."""
    draw = build.draw
    half = (space[0], space[1] * draw.between(0.75, 0.92), space[2] * 0.75)
    spines = paint(draw, any_colour(draw), Pattern.BOOKS, draw.between(14, 24))
    build.box(at, (0, floor + half[1], space[2] * 0.1), half, Nyu40.BOOKS, spines)


def plant(build: Builder) -> None:
    at = build.anywhere(0.2, 0.2)
    if at is None:
        return
    draw = build.draw
    half_height, radius = draw.between(0.12, 0.22), draw.between(0.1, 0.16)
    build.cylinder(at, (0, half_height, 0), (radius, half_height), Nyu40.OTHERPROP, paint(draw, any_colour(draw)))
    for _ in range(draw.count(3, 5)):
        green = colorsys.hsv_to_rgb(draw.between(0.22, 0.38), draw.between(0.4, 0.9), draw.between(0.3, 0.75))
        leaf = draw.between(0.11, 0.2)
        offset = (
            draw.between(-0.12, 0.12),
            2 * half_height + draw.between(0.05, 0.4),
            draw.between(-0.12, 0.12),
        )
        build.sphere(at, offset, leaf, Nyu40.OTHERPROP, paint(draw, green, Pattern.NOISE, 22))


def ball(build: Builder) -> None:
    draw = build.draw
    radius = draw.between(0.1, 0.24)
    at = build.anywhere(radius, radius)
    if at is None:
        return
    pattern = draw.pick((Pattern.PLAIN, Pattern.CHECK))
    skin = paint(draw, any_colour(draw), pattern, draw.between(4, 9), second=any_colour(draw), gloss=0.5)
    build.sphere(at, (0, radius, 0), radius, Nyu40.OTHERPROP, skin)


def boxes(build: Builder) -> None:
    """One to three cartons on top of one another, the larger ones below."""
    draw = build.draw
    side = draw.between(0.2, 0.3)
    at = build.anywhere(side, side)
    if at is None:
        return
    y = 0.0
    for level in range(draw.count(1, 3)):
        if level:
            build.begin()
        half = (side * draw.between(0.8, 1.0), draw.between(0.08, 0.2), side * draw.between(0.75, 1.0))
        colour = wood_colour(draw) if draw.chance(0.7) else any_colour(draw)
        turn = draw.between(-0.3, 0.3) if level else 0.0
        build.box(at, (0, y + half[1], 0), half, Nyu40.BOX, paint(draw, colour), turn=turn)
        y, side = y + 2 * half[1], side * 0.85
