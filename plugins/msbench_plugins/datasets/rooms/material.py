"""What surfaces look like: two colours, a pattern that mixes them, gloss and glow."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from enum import IntEnum

from .draw import Draw

Colour = tuple[float, float, float]


class Pattern(IntEnum):
    """How the two colours of a material are mixed over a surface (see `texture`)."""

    PLAIN = 0
    CHECK = 1
    PLANK = 2
    BRICK = 3
    NOISE = 4
    DRAWER = 5
    BOOKS = 6
    SKY = 7


@dataclass(frozen=True)
class Material:
    """Reflectance in [0, 1], pattern, its scale (repeats a metre), gloss, own light, the pattern's seed."""

    colour: Colour
    second: Colour
    pattern: Pattern = Pattern.PLAIN
    scale: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0
    salt: int = 0

    def row(self) -> list[float]:
        return [*self.colour, *self.second, self.pattern, self.scale, self.gloss, self.glow, self.salt]


def any_colour(
    draw: Draw, saturation: tuple[float, float] = (0.15, 0.85), value: tuple[float, float] = (0.25, 0.95)
) -> Colour:
    """A random hue: colour must not give the class away."""
    return colorsys.hsv_to_rgb(draw.between(), draw.between(*saturation), draw.between(*value))


def wood_colour(draw: Draw) -> Colour:
    return colorsys.hsv_to_rgb(draw.between(0.05, 0.11), draw.between(0.25, 0.7), draw.between(0.3, 0.85))


def paint(
    draw: Draw,
    colour: Colour,
    pattern: Pattern = Pattern.PLAIN,
    scale: float = 1.0,
    *,
    second: Colour | None = None,
    gloss: float = 0.0,
    glow: float = 0.0,
) -> Material:
    """A material of this colour; the second colour is a darker shade of it unless it is given."""
    if second is None:
        shade = draw.between(0.55, 0.85)
        second = (colour[0] * shade, colour[1] * shade, colour[2] * shade)
    return Material(colour, second, pattern, scale, gloss, glow, salt=draw.count(0, 9999))


def wood(draw: Draw, gloss: float = 0.0) -> Material:
    return paint(draw, wood_colour(draw), gloss=gloss)


def fabric(draw: Draw) -> Material:
    pattern = draw.pick((Pattern.PLAIN, Pattern.NOISE, Pattern.PLANK, Pattern.CHECK))
    second = any_colour(draw) if draw.chance(0.4) else None
    return paint(draw, any_colour(draw), pattern, draw.between(4, 16), second=second)
