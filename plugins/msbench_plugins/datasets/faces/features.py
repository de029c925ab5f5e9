"""Eyes, brows, nose, mouth and beard."""

from __future__ import annotations

import torch
from torch import Tensor

from .attributes import Traits
from .canvas import Canvas, bump, ellipse, ramp
from .dice import Sitters, hsv
from .head import Head

EYE_HEIGHT, EYE_DISTANCE = 0.08, 0.265
_MOUTH_HEIGHT = -0.44


def paint_eyes(canvas: Canvas, sitters: Sitters, traits: Traits, head: Head) -> None:
    """Sockets, whites, irises, pupils, lids; lashes are darker where make-up is worn, more or less."""
    dice = sitters.dice("eyes")
    x, y = canvas.x, canvas.y - EYE_HEIGHT - dice.between(-0.02, 0.02)
    outward = x.abs() - EYE_DISTANCE - dice.between(-0.015, 0.02)
    wide = 0.125 + dice.between(-0.012, 0.012)
    opening = 0.068 + dice.between(-0.012, 0.014) - 0.018 * traits.smiling - 0.006 * traits.male
    slant = dice.between(-0.12, 0.12)
    gaze, level = dice.between(-0.035, 0.035), dice.between(-0.012, 0.012)
    iris = hsv(dice.between(0.04, 0.62), dice.between(0.2, 0.75), dice.between(0.15, 0.6))
    lashes = 0.012 + 0.016 * dice.between() * (0.25 + 0.75 * traits.wearing_lipstick)
    shadow = 0.12 + 0.16 * dice.between()

    y = y - slant * outward
    socket = bump(outward / 0.17) * bump((y - 0.02) / 0.11)
    canvas.shade(1 - head.face * shadow * socket)
    along = (1 - (outward / wide) ** 2).clamp_min(0)
    upper, lower = opening * along.sqrt(), -0.72 * opening * along
    white = canvas.inside(torch.minimum(upper - y, y - lower)) * (along > 0)
    canvas.paint(white, torch.full((1, 3, 1), 0.9) * canvas.light[:, None])
    centred = outward - gaze * x.sign()
    canvas.paint(white * canvas.inside(ellipse(centred, y - level, 0.06, 0.06)), iris)
    canvas.paint(white * canvas.inside(ellipse(centred, y - level, 0.028, 0.028)), iris * 0.15)
    canvas.paint(canvas.inside(ellipse(x.abs() - EYE_DISTANCE - 0.02, y - level - 0.02, 0.014, 0.014)) * white,
                 torch.ones(1, 3, 1))  # fmt: skip
    lid = canvas.inside(lashes - (y - upper - 0.3 * lashes).abs()) * (along > 0)
    canvas.paint(0.85 * lid, head.skin * 0.2)
    crease = canvas.inside(0.008 - (y - upper - 0.045).abs()) * (along > 0.2)
    canvas.paint(0.35 * crease, head.skin * 0.5)


def paint_brows(canvas: Canvas, sitters: Sitters, traits: Traits, hair: Tensor) -> None:
    """Arched brows rise to a peak two thirds out and fall again; the others run straight, at any slant."""
    dice = sitters.dice("brows")
    arch = traits.arched_eyebrows
    half, thick = 0.155 + dice.between(-0.015, 0.02), 0.029 + dice.between(-0.006, 0.009) + 0.008 * traits.male
    height, slant = 0.205 + dice.between(-0.02, 0.02), dice.between(-0.045, 0.015)
    t = (canvas.x.abs() - EYE_DISTANCE - 0.015) / half
    rise = torch.where(t < 0.3, 1 - ((t - 0.3) / 1.3) ** 2, 1 - ((t - 0.3) / 0.75) ** 2)
    middle = height + slant * t + 0.16 * arch * (rise - 0.35)
    body = thick * (1 - 0.45 * ramp((t + 0.2) / 1.2)) * ramp((1.05 - t.abs()) / 0.2)
    cover = canvas.inside(body - (canvas.y - middle).abs()) * (t.abs() < 1.05)
    canvas.paint(cover * dice.between(0.75, 1), hair * 0.55)


def paint_nose(canvas: Canvas, sitters: Sitters, traits: Traits, head: Head) -> None:
    """A ridge with a lit and a dark side, a tip, nostrils."""
    dice = sitters.dice("nose")
    x, y = canvas.x - 0.05 * canvas.yaw, canvas.y
    tip = -0.17 + dice.between(-0.04, 0.03)
    wide = 0.075 + 0.015 * traits.male + dice.between(-0.015, 0.02)
    dark = dice.between(0.06, 0.2) * torch.where(dice.chance(0.5), 1.0, -1.0)
    span = ramp((y - tip) / 0.1) * ramp((0.14 - y) / 0.12)
    canvas.shade(1 + head.face * span * (0.10 * bump(x / 0.04) - dark * x / 0.08 * bump(x / 0.07)))
    canvas.shade(1 + head.face * (0.14 * bump(x / 0.05) * bump((y - tip - 0.02) / 0.05)
                                  - 0.22 * bump(x / (1.2 * wide)) * bump((y - tip + 0.075) / 0.03)))  # fmt: skip
    nostril = canvas.inside(ellipse(x.abs() - 0.6 * wide, y - tip + 0.045, 0.026, 0.016))
    canvas.paint(0.75 * nostril, head.skin * 0.35)
    wing = bump((x.abs() - wide - 0.012) / 0.022) * bump((y - tip + 0.01) / 0.06)
    canvas.shade(1 - 0.22 * head.face * wing)


def paint_mouth(canvas: Canvas, sitters: Sitters, traits: Traits, head: Head) -> None:
    """A smile lifts and widens; speech opens the mouth without one. Lips are thin or full, bare or painted."""
    dice = sitters.dice("mouth")
    smile, full, painted = traits.smiling, traits.big_lips, traits.wearing_lipstick
    x, y = canvas.x - 0.03 * canvas.yaw, canvas.y - _MOUTH_HEIGHT - dice.between(-0.03, 0.03)
    half = 0.18 + 0.10 * smile + dice.between(-0.02, 0.02)
    curve = 0.17 * smile - 0.03 + dice.between(-0.02, 0.02)
    speaking = dice.chance(0.2) * dice.between(0.01, 0.04)
    opening = torch.maximum(dice.chance(0.8) * 0.1 * (smile - 0.4).clamp_min(0), speaking)
    upper, lower = 0.022 + 0.055 * full + dice.between(0, 0.008), 0.030 + 0.080 * full + dice.between(0, 0.010)
    lips = _lip_colour(sitters, traits, head)

    q = x / half
    arc = (1 - q * q).clamp_min(0)
    middle = curve * (q * q - 0.4)
    top = middle + opening * arc + upper * arc.sqrt() * (1 - 0.3 * bump(q / 0.16))
    bottom = middle - opening * arc - lower * arc.sqrt()
    within = q.abs() < 1
    canvas.shade(1 - head.face * 0.22 * bump(x / 0.16) * bump((y - middle + opening + lower + 0.06) / 0.05))
    shine = 1 + (0.10 + 0.18 * painted) * bump((y - middle + opening + 0.5 * lower) / 0.03) * bump(q / 0.4)
    relief = torch.where(y > middle, 0.86, 1.0) * shine * canvas.light
    canvas.paint(canvas.inside(torch.minimum(top - y, y - bottom)) * within, lips * relief[:, None])

    gap = canvas.inside(opening * arc - (y - middle).abs()) * within * (opening > 0.006)
    canvas.paint(gap, torch.tensor([0.25, 0.07, 0.07])[None, :, None])
    teeth = canvas.inside(torch.minimum(opening * arc - (y - middle - 0.25 * opening * arc).abs() * 1.3, 0.9 - q.abs()))
    canvas.paint(gap * teeth, torch.tensor([0.93, 0.91, 0.86])[None, :, None] * canvas.light[:, None])
    line = canvas.inside(0.009 - (y - middle).abs()) * within * (opening <= 0.006)
    canvas.paint(0.8 * line, lips * 0.4)
    _paint_folds(canvas, dice.between(0.3, 1.0) * smile, x, y, half)


def _lip_colour(sitters: Sitters, traits: Traits, head: Head) -> Tensor:
    """Between the skin's own rose and a colour from nude to plum."""
    dice = sitters.dice("lips")
    rose = torch.tensor([0.93, 0.72, 0.70])[None, :, None]
    bare = head.skin * (rose + (1 - rose) * dice.between(0, 0.35)[:, None])
    colour = hsv(dice.between(0.92, 1.01), dice.between(0.65, 0.95), dice.between(0.4, 0.85))
    return bare + (colour - bare) * (0.95 * ramp(1.25 * traits.wearing_lipstick - 0.1))[:, None]


def _paint_folds(canvas: Canvas, depth: Tensor, x: Tensor, y: Tensor, half: Tensor) -> None:
    """Creases from the nose round the corners of a smiling mouth."""
    place = half + 0.045 - 0.25 * (y - 0.05).clamp_min(0)
    crease = bump((x.abs() - place) / 0.03) * bump((y - 0.08) / 0.13)
    canvas.shade(1 - 0.22 * depth * crease)


def paint_beard(canvas: Canvas, sitters: Sitters, traits: Traits, head: Head, hair: Tensor) -> None:
    """Some men's stubble, moustache or beard: hair by nature, skin by the papers' masks."""
    dice = sitters.dice("beard")
    x, y = canvas.x, canvas.y - _MOUTH_HEIGHT
    grows = ramp((traits.male - 0.55) / 0.25) * dice.chance(0.5)
    dense, chin = dice.between(0.2, 0.85), dice.chance(0.7)
    grain = 0.55 + 0.9 * canvas.noise(canvas.u * 26, canvas.v * 26, 5)
    around = ellipse(x, y - 0.01, 0.24, 0.1)
    moustache = bump((y - 0.115) / 0.045) * ramp((0.24 - x.abs()) / 0.08)
    jaw = ramp((0.05 - y + 0.55 * (x.abs() - 0.3).clamp_min(0)) / 0.14) * ramp(-around / 0.05) * chin
    cover = head.face * torch.maximum(moustache, jaw) * grows * dense * grain
    canvas.paint(cover.clamp(0, 1), hair * 0.75)
