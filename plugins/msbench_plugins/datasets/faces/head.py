"""What is behind the face, and the face itself: backdrop, shoulders, neck, ears, skin, cheeks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attributes import Traits
from .canvas import HEAD_HEIGHT, HEAD_WIDTH, Canvas, Region, bump, ellipse, ramp
from .dice import Sitters

_TONES = ((0.98, 0.83, 0.73), (0.88, 0.68, 0.54), (0.66, 0.46, 0.33), (0.36, 0.23, 0.17))
"""Skin from light to dark, a third of the range apart."""


@dataclass(frozen=True)
class Head:
    """Half width of the head [B, 1], coverage of the face [B, N], colour of the skin [B, 3, 1]."""

    width: Tensor
    face: Tensor
    skin: Tensor


def paint_backdrop(canvas: Canvas, sitters: Sitters) -> None:
    dice = sitters.dice("backdrop")
    first, second = (dice.colour((0, 1), (0, 0.6), (0.15, 0.95)) for _ in range(2))
    slope, grain = dice.between(-0.6, 0.6), dice.between(1, 4)
    patches = canvas.noise(canvas.across * grain + 9, canvas.upward * grain + 9, 1)
    mix = ramp(0.5 + slope * canvas.upward + patches - 0.5)
    canvas.paint(torch.ones_like(mix), first + (second - first) * mix[:, None])


def draw_skin(sitters: Sitters) -> Tensor:
    """A skin colour [B, 3, 1] between the tones, a little redder or yellower."""
    dice = sitters.dice("skin")
    place, red = dice.between() * dice.between(0.3, 1) * 3, dice.between(-0.03, 0.03)
    tones = torch.tensor(_TONES).t()[None]
    weights = (1 - (place[:, None] - torch.arange(4.0)).abs()).clamp_min(0)
    mixed = (tones * weights).sum(-1, keepdim=True)
    return mixed * (1 + red[:, None] * torch.tensor([1.0, 0.0, -1.5])[None, :, None])


def paint_body(canvas: Canvas, sitters: Sitters, traits: Traits, skin: Tensor) -> None:
    """Shoulders and neck: background, as in the papers' masks, for all their colour of skin."""
    dice = sitters.dice("body")
    u, v = canvas.u, canvas.v
    neck = 0.23 + 0.09 * traits.male + dice.between(-0.02, 0.02)
    broad, drop = 0.95 + 0.25 * traits.male + dice.between(-0.1, 0.1), dice.between(-0.05, 0.1)
    depth = dice.between(0.0, 0.35) * (1 - 0.5 * traits.male)
    cloth = dice.colour((0, 1), (0, 0.9), (0.08, 0.95))
    folds = 0.9 + 0.2 * canvas.grain

    skin_dark = skin * 0.8
    torso = ellipse(u, v + 1.75 + drop, broad, 0.8)
    canvas.paint(canvas.inside(torso), skin_dark * canvas.light[:, None], Region.BACKGROUND)
    collar = torch.minimum(torso, -ellipse(u, v + 0.95, neck + 0.08, 0.12 + depth))
    canvas.paint(canvas.inside(collar), cloth * (folds * canvas.light)[:, None], Region.BACKGROUND)
    throat = torch.minimum(neck + 0.1 * ramp((-v - 0.85) / 0.35) - u.abs(), torch.minimum(-0.3 - v, v + 1.2))
    below_chin = 1 - 0.35 * ramp((v + 1.15) / 0.35)
    canvas.paint(canvas.inside(throat), skin_dark * (below_chin * canvas.light)[:, None], Region.BACKGROUND)


def paint_face(canvas: Canvas, sitters: Sitters, traits: Traits, skin: Tensor) -> Head:
    """Ears and face, with a jaw that tells of the sex and cheekbones that stand out or do not."""
    dice = sitters.dice("face")
    u, v = canvas.u, canvas.v
    male, high = traits.male, traits.high_cheekbones
    width = HEAD_WIDTH * (0.96 + 0.07 * male + dice.between(-0.07, 0.07))
    height = HEAD_HEIGHT * dice.between(0.95, 1.05)
    narrow = 0.36 - 0.26 * male + dice.between(-0.08, 0.08)

    lobe = ellipse(u.abs() - width * 0.98, v - 0.02, 0.085, 0.18)
    canvas.paint(canvas.inside(lobe), skin * 0.9 * canvas.light[:, None], Region.SKIN)
    canvas.paint(canvas.inside(lobe - 0.04), skin * 0.65)

    below = (-v / height).clamp(0, 1)
    half = width * (1 - narrow * below * below) + 0.04 * high * bump((v + 0.12) / 0.16)
    outline = ellipse(u, v, half, height)
    face = canvas.inside(outline)
    rim = 1 - 0.22 * ramp(1 - outline / 0.14)
    canvas.paint(face, skin * (rim * canvas.light)[:, None], Region.SKIN)
    _shade_cheeks(canvas, sitters, traits, face)
    return Head(width, face, skin)


def _shade_cheeks(canvas: Canvas, sitters: Sitters, traits: Traits, face: Tensor) -> None:
    """High cheekbones: light on the bone, a hollow below. Rouge and a smile's fold are beside the point."""
    dice = sitters.dice("cheeks")
    side, y, high = canvas.x.abs(), canvas.y, traits.high_cheekbones
    bone = bump((side - 0.36) / 0.13) * bump((y + 0.1 - 0.03 * traits.smiling) / 0.085)
    hollow = bump((side - 0.40) / 0.10) * bump((y + 0.36 + 0.35 * (side - 0.4)) / 0.13)
    canvas.shade(1 + face * (high * (0.30 * bone - 0.34 * hollow)))

    rouge = dice.between(0, 0.35) * (0.3 + 0.7 * traits.wearing_lipstick)
    blush = bump((side - 0.36) / 0.17) * bump((y + 0.17) / 0.14)
    canvas.paint(face * blush * rouge, torch.tensor([0.85, 0.35, 0.35])[None, :, None])
