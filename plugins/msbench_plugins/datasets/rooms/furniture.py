"""Pieces of furniture: each function finds a free place and builds one piece there, or gives up quietly."""

from __future__ import annotations

import math
from collections.abc import Callable

from .builder import Builder, Footprint, Vector
from .labels import Nyu40
from .material import Material, Pattern, any_colour, fabric, paint, wood, wood_colour
from .props import clutter, row_of_books

Piece = Callable[[Builder], None]


def _furniture_colour(build: Builder, wooden: float, saturation: float) -> tuple[float, float, float]:
    draw = build.draw
    return wood_colour(draw) if draw.chance(wooden) else any_colour(draw, (0.0, saturation))


def _legs(build: Builder, at: Footprint, spread: Vector, half: float, label: Nyu40, *, of: Material) -> None:
    """Four legs; spread: how far they stand out to the side, their height, and how far to the front."""
    dx, height, dz = spread
    for i in (-1, 1):
        for j in (-1, 1):
            build.box(at, (i * dx, height / 2, j * dz), (half, height / 2, half), label, of)


def bed(build: Builder) -> None:
    draw = build.draw
    w, d, h = draw.between(0.5, 0.9), draw.between(0.92, 1.05), draw.between(0.18, 0.28)
    at = build.against_wall(w, d + 0.05)
    if at is None:
        return
    frame, sheet, cover = wood(draw), fabric(draw), fabric(draw)
    build.box(at, (0, h / 2, 0), (w, h / 2, d), Nyu40.BED, frame)
    build.box(at, (0, h + 0.09, 0.02), (w * 0.97, 0.09, d * 0.97), Nyu40.BED, sheet)
    build.box(at, (0, h + 0.1, d * 0.3), (w * 0.99, 0.1, d * 0.7), Nyu40.BED, cover)
    if draw.chance(0.8):
        build.box(at, (0, h / 2 + 0.3, -d), (w, h / 2 + 0.3, 0.04), Nyu40.BED, frame)
    for side in (-0.45, 0.45) if w > 0.65 else (0.0,):
        pillow = (0.26, 0.07, 0.17)
        build.box(
            at,
            (side * w, h + 0.25, -d * 0.72),
            pillow,
            Nyu40.PILLOW,
            fabric(draw),
            turn=draw.between(-0.15, 0.15),
        )


def chair_at(build: Builder, at: Footprint) -> None:
    """A chair on this footprint; the instance must have begun."""
    draw = build.draw
    s, seat, back = at.half_width, draw.between(0.4, 0.48), draw.between(0.2, 0.28)
    cloth = fabric(draw) if draw.chance(0.5) else wood(draw)
    frame = wood(draw, gloss=draw.between(0, 0.4))
    build.box(at, (0, seat, 0), (s, 0.035, s), Nyu40.CHAIR, cloth)
    build.box(at, (0, seat + back + 0.03, -s + 0.03), (s, back, 0.03), Nyu40.CHAIR, cloth)
    if draw.chance(0.65):
        _legs(build, at, (s * 0.85, seat, s * 0.85), 0.028, Nyu40.CHAIR, of=frame)
    else:
        build.cylinder(at, (0, seat / 2, 0), (0.04, seat / 2), Nyu40.CHAIR, frame)
        build.cylinder(at, (0, 0.03, 0), (0.22, 0.03), Nyu40.CHAIR, frame)


def chair(build: Builder) -> None:
    s = build.draw.between(0.2, 0.26)
    at = build.anywhere(s, s)
    if at is not None:
        chair_at(build, at)


def sofa(build: Builder) -> None:
    draw = build.draw
    w, d, seat = draw.between(0.7, 1.1), draw.between(0.38, 0.48), draw.between(0.2, 0.25)
    at = build.against_wall(w, d + 0.04) if draw.chance(0.85) else build.anywhere(w, d + 0.04)
    if at is None:
        return
    cloth = fabric(draw)
    build.box(at, (0, seat, 0), (w, seat, d), Nyu40.SOFA, cloth)
    build.box(at, (0, seat + 0.33, -d + 0.1), (w, 0.34, 0.12), Nyu40.SOFA, cloth)
    for side in (-1, 1):
        build.box(at, (side * (w - 0.09), seat + 0.08, 0), (0.1, seat + 0.08, d), Nyu40.SOFA, cloth)
    for half in (-0.42, 0.42):
        build.box(at, (half * w, seat * 2 + 0.05, 0.06), (w * 0.4, 0.06, d * 0.82), Nyu40.SOFA, cloth)
        if draw.chance(0.5):
            at_pillow = (half * w, seat * 2 + 0.26, -d + 0.3)
            build.box(at, at_pillow, (0.18, 0.16, 0.06), Nyu40.PILLOW, fabric(draw), turn=draw.between(-0.3, 0.3))


def table(build: Builder) -> None:
    draw = build.draw
    w, d, h = draw.between(0.4, 0.85), draw.between(0.3, 0.5), draw.between(0.4, 0.76)
    is_round = draw.chance(0.35)
    w, d = (d * 1.2, d * 1.2) if is_round else (w, d)
    at = build.against_wall(w, d) if not is_round and draw.chance(0.4) else build.anywhere(w, d)
    if at is None:
        return
    label = Nyu40.TABLE if is_round or draw.chance(0.7) else Nyu40.DESK
    pattern = draw.pick((Pattern.PLAIN, Pattern.PLANK))
    board = paint(draw, _furniture_colour(build, 0.7, 0.8), pattern, draw.between(3, 9), gloss=draw.between(0, 0.5))
    if is_round:
        build.cylinder(at, (0, h, 0), (w, 0.025), label, board)
        build.cylinder(at, (0, h / 2, 0), (0.05, h / 2), label, board)
        build.cylinder(at, (0, 0.02, 0), (w * 0.5, 0.02), label, board)
    else:
        build.box(at, (0, h, 0), (w, 0.025, d), label, board)
        _legs(build, at, (w * 0.92, h, d * 0.88), 0.03, label, of=board)
    clutter(build, at, (w * 0.6, d * 0.6), h + 0.025, most=3)
    if draw.chance(0.7):
        _chair_beside(build, at)


def _chair_beside(build: Builder, table_at: Footprint) -> None:
    """A chair that faces the table and is pushed a little under it."""
    draw = build.draw
    s = draw.between(0.2, 0.25)
    x, z = table_at.world(draw.between(-0.25, 0.25), table_at.half_depth + draw.between(0.1, 0.3))
    at = Footprint(x, z, table_at.yaw + math.pi + draw.between(-0.4, 0.4), s, s)
    if build.is_free(at, beside=table_at):
        build.taken.append(at)
        build.begin()
        chair_at(build, at)


def cabinet(build: Builder) -> None:
    draw = build.draw
    w, d, h = draw.between(0.3, 0.8), draw.between(0.2, 0.3), draw.between(0.3, 0.95)
    at = build.against_wall(w, d)
    if at is None:
        return
    label = Nyu40.NIGHT_STAND if w < 0.45 and h < 0.45 else Nyu40.CABINET
    front = paint(draw, _furniture_colour(build, 0.6, 0.5), Pattern.DRAWER, draw.between(2, 4.5),
                  gloss=draw.between(0, 0.3))  # fmt: skip
    build.box(at, (0, h + 0.03, 0), (w, h - 0.03, d), label, front)
    build.box(at, (0, 0.03, -0.02), (w * 0.96, 0.03, d * 0.9), label, wood(draw))
    build.box(at, (0, 2 * h + 0.012, 0), (w + 0.015, 0.012, d + 0.01), label, wood(draw, gloss=0.2))
    if 2 * h < 1.2 and w > 0.4 and draw.chance(0.45):
        build.begin()
        s = draw.between(0.35, min(0.65, w))
        screen = paint(draw, (0.04, 0.04, 0.05), gloss=0.9)
        build.box(at, (0, 2 * h + s * 0.6 + 0.06, 0), (s, s * 0.6, 0.03), Nyu40.TELEVISION, screen)
        build.box(at, (0, 2 * h + 0.04, 0), (s * 0.4, 0.02, 0.1), Nyu40.TELEVISION, screen)
    else:
        clutter(build, at, (w * 0.7, d * 0.5), 2 * h + 0.024, most=3)


def bookshelf(build: Builder) -> None:
    draw = build.draw
    w, d, h = draw.between(0.35, 0.75), draw.between(0.14, 0.18), draw.between(0.6, 1.05)
    at = build.against_wall(w, d)
    if at is None:
        return
    board, levels, thin = paint(draw, _furniture_colour(build, 0.7, 0.3)), draw.count(3, 5), 0.018
    build.box(at, (0, h, -d + thin), (w, h, thin), Nyu40.BOOKSHELF, board)
    for side in (-1, 1):
        build.box(at, (side * (w - thin), h, 0), (thin, h, d), Nyu40.BOOKSHELF, board)
    step = (2 * h - 2 * thin) / levels
    for level in range(levels + 1):
        build.box(at, (0, thin + level * step, 0), (w, thin, d), Nyu40.BOOKSHELF, board)
    build.begin()
    for level in range(levels):
        floor = 2 * thin + level * step
        if draw.chance(0.8):
            half = ((w - 2 * thin) * draw.between(0.6, 1.0), step / 2 - thin, d)
            row_of_books(build, at, floor, half)


def floor_lamp(build: Builder) -> None:
    at = build.anywhere(0.17, 0.17)
    if at is None:
        return
    draw = build.draw
    h, metal = draw.between(0.6, 0.85), paint(draw, (0.25, 0.25, 0.25), gloss=0.5)
    shade = paint(draw, (1.0, 0.92, 0.75), glow=draw.between(0.3, 0.9))
    build.cylinder(at, (0, h, 0), (0.02, h), Nyu40.LAMP, metal)
    build.cylinder(at, (0, 0.02, 0), (0.15, 0.02), Nyu40.LAMP, metal)
    if draw.chance(0.6):
        build.cylinder(at, (0, 2 * h + 0.1, 0), (0.17, 0.14), Nyu40.LAMP, shade)
    else:
        build.sphere(at, (0, 2 * h + 0.1, 0), 0.16, Nyu40.LAMP, shade)


LARGE: tuple[Piece, ...] = (bed, sofa, table, cabinet, bookshelf, bookshelf, cabinet)
"""What a room is furnished with first, each at most once, in random order."""
