"""What gets in the way: glasses, hats, and things held before the face."""

from __future__ import annotations

import torch
from torch import Tensor

from .canvas import Canvas, Region, bump, ellipse
from .dice import Sitters
from .features import EYE_DISTANCE, EYE_HEIGHT
from .head import Head


def paint_glasses(canvas: Canvas, sitters: Sitters) -> None:
    """On every eighth nose, dark on every fourth of these. The skin behind them counts as skin."""
    dice = sitters.dice("glasses")
    worn, dark = dice.chance(0.125), dice.chance(0.25)
    wide, high, thick = dice.between(0.17, 0.21), dice.between(0.12, 0.18), dice.between(0.014, 0.03)
    frame = dice.colour((0, 1), (0, 0.8), (0.03, 0.5))
    side, y = canvas.x.abs(), canvas.y - EYE_HEIGHT + 0.01
    rim = ellipse(side - EYE_DISTANCE - 0.01, y, wide, high)
    bridge = torch.minimum(thick - (y - 0.03).abs(), EYE_DISTANCE - wide + 0.03 - side)
    temple = torch.minimum(thick - (y - 0.04).abs(), torch.minimum(side - EYE_DISTANCE - wide, 0.6 - side))
    lens = canvas.inside(rim) * worn
    canvas.paint(lens * torch.where(dark, 0.88, 0.06), frame * 0.5 + 0.02 * canvas.light[:, None])
    glint = bump((side - EYE_DISTANCE + canvas.x.sign() * 0.05 + y) / 0.03)
    canvas.paint(lens * glint * 0.35, torch.ones(1, 3, 1))
    wires = torch.maximum(thick - rim.abs(), torch.maximum(bridge, temple))
    canvas.paint(canvas.inside(wires) * worn, frame)


def paint_hat(canvas: Canvas, sitters: Sitters, head: Head) -> None:
    """A woollen hat or a brimmed one: background, as it is no hair."""
    dice = sitters.dice("hat")
    worn, brimmed = dice.chance(0.07), dice.chance(0.5)
    edge, tall = dice.between(0.36, 0.48), dice.between(0.62, 0.75)
    colour = dice.colour((0, 1), (0.1, 0.9), (0.1, 0.9))
    u, v = canvas.u, canvas.v
    knit = 0.8 + 0.4 * canvas.grain
    band = 1 - 0.3 * bump((v - edge - 0.08) / 0.06)
    dome = torch.minimum(ellipse(u, v - edge, head.width + 0.12, tall), v - edge + 0.12 * u * u)
    brim = torch.where(brimmed, ellipse(u, v - edge - 0.02, head.width + 0.42, 0.09), -1.0)
    canvas.shade(1 - 0.3 * worn * head.face * bump((v - edge + 0.06) / 0.08))
    cover = canvas.inside(torch.maximum(dome, brim)) * worn
    canvas.paint(cover, colour * (knit * band * canvas.light)[:, None], Region.BACKGROUND)


def paint_occluder(canvas: Canvas, sitters: Sitters) -> None:
    """Now and then a hand, a cup or a microphone reaches in from below and hides part of the face."""
    dice = sitters.dice("occluder")
    held, skinlike = dice.chance(0.1), dice.chance(0.5)
    foot, top = dice.between(-0.9, 0.9), dice.between(-0.65, -0.05)
    lean, wide = dice.between(-0.4, 0.4), dice.between(0.14, 0.32)
    thing = dice.colour((0, 1), (0.1, 0.9), (0.1, 0.9))
    hand = dice.colour((0.04, 0.08), (0.3, 0.6), (0.35, 0.95))
    x = canvas.across - foot - lean * (canvas.upward + 1)
    bar = torch.minimum(wide - x.abs(), top - canvas.upward)
    knob = ellipse(x, canvas.upward - top, 1.15 * wide, wide)
    depth = torch.maximum(bar, knob)
    ridges = 0.78 + 0.3 * bump(depth / wide - 1) + 0.2 * canvas.grain
    cover = canvas.inside(depth) * held
    canvas.paint(cover, _either(skinlike, hand, thing) * ridges[:, None], Region.BACKGROUND)


def _either(condition: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(condition[:, None], first, second)
