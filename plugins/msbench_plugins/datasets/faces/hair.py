"""Hair: its colour and cut, what hangs behind the face, and what lies over it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attributes import Traits
from .canvas import Canvas, Region, bump, ellipse, ramp
from .dice import Sitters, hsv
from .head import Head

_CROWN = 0.16


@dataclass(frozen=True)
class Hair:
    """Columns [B, 1] unless said otherwise.

    colour: [B, 3, 1]. volume: thickness over the skull. length: how far below the eyes it hangs.
    line: height of the hairline. parting: where it parts. sweep: fall of the hairline away from the parting.
    fringe, bald, receding: bool.
    stray, strands: [B, N], how far the outline strays outwards, and the brightness of the strands.
    """

    colour: Tensor
    volume: Tensor
    length: Tensor
    line: Tensor
    parting: Tensor
    sweep: Tensor
    fringe: Tensor
    bald: Tensor
    receding: Tensor
    stray: Tensor
    strands: Tensor


def draw_hair(canvas: Canvas, sitters: Sitters, traits: Traits) -> Hair:
    """A cut: mostly short for men and long for women, by no means always."""
    dice = sitters.dice("hair")
    short = dice.chance(0.12 + 0.78 * traits.male)
    length = torch.where(short, dice.between(-0.35, 0.05), dice.between(0.35, 1.35))
    curly = dice.chance(0.22)
    bald = dice.chance(0.16 * ramp((traits.male - 0.5) / 0.3))
    fringe = dice.chance(0.24) & ~bald
    grey = dice.chance(0.1)
    hue, pale = dice.between(0.02, 0.12), dice.between()
    saturation = torch.where(grey, 0.08, dice.between(0.3, 0.75))
    value = torch.where(grey, dice.between(0.45, 0.8), 0.08 + 0.72 * pale * pale)
    parting = dice.between(-0.3, 0.3)
    wave = torch.where(curly, dice.between(0.05, 0.12), dice.between(0.0, 0.05))
    curl = torch.where(curly, dice.between(8, 13), dice.between(2, 5))
    u, v = canvas.u, canvas.v
    return Hair(
        colour=hsv(hue, saturation, value),
        volume=torch.where(bald, 0.0, dice.between(0.04, 0.13) + 0.10 * curly * dice.between()),
        length=length,
        line=torch.where(fringe, dice.between(0.34, 0.43), dice.between(0.46, 0.6)),
        parting=parting,
        sweep=torch.where(fringe, dice.between(0, 0.15), dice.between(0.1, 0.7)),
        fringe=fringe,
        bald=bald,
        receding=dice.chance(0.4 * ramp((traits.male - 0.5) / 0.3)) & ~fringe,
        stray=2 * wave * (canvas.noise(u * curl, v * curl, 8) - 0.5),
        strands=0.72 + 0.56 * canvas.noise((u - parting) * (1 + v) * 17 + v * 2, v * 2.5 - u.abs() * 2, 9),
    )


def paint_back_hair(canvas: Canvas, hair: Hair, head_width: Tensor) -> None:
    """The mass behind head and shoulders."""
    u, v = canvas.u, canvas.v
    wide = head_width + hair.volume + 0.02 + 0.06 * ramp(-v / 0.8)
    end = torch.minimum(v + hair.length, 0.2 - v) + 0.10 * (canvas.noise(u * 9, v * 2, 6) - 0.5)
    hanging = torch.minimum(wide + hair.stray - u.abs(), end)
    hanging = torch.where(hair.length > 0.1, hanging, -1.0)
    mass = torch.maximum(_skull(canvas, hair, head_width), hanging)
    _paint(canvas, canvas.inside(mass) * ~hair.bald, hair, mass, 0.72)


def paint_front_hair(canvas: Canvas, hair: Hair, head: Head) -> None:
    """The cap above the hairline, and the strands that frame the face; on a bald head a rim at the temples."""
    u, v = canvas.u, canvas.v
    away = (u - hair.parting).abs()
    ragged = 0.06 * (canvas.grain - 0.5)
    line = hair.line - hair.sweep * away * away + torch.where(hair.fringe, 2.2, 1.0) * ragged
    receding = 0.28 * bump((u.abs() - 0.3) / 0.2) * hair.receding
    above = v - line - receding

    beside = u.abs() - head.width * (0.97 - 0.16 * ramp((0.5 - hair.sweep) / 0.4))
    reach = torch.minimum(v + torch.maximum(hair.length, torch.full_like(hair.length, -0.16)), 0.6 - v)
    framing = torch.minimum(beside + 0.6 * hair.stray, reach)
    skull = _skull(canvas, hair, head.width)
    hanging = torch.minimum(head.width + hair.volume + 0.03 - u.abs(), 0.2 - v)
    outer = torch.where(hair.length > 0.1, torch.maximum(skull, hanging), skull)
    mass = torch.minimum(torch.maximum(above, framing), outer)

    rim = torch.minimum(torch.minimum(u.abs() - 0.9 * head.width, 0.3 - v.abs()), skull + 0.03)
    mass = torch.where(hair.bald, rim, mass)
    shadow = head.face * 0.25 * ramp(1 + mass / 0.09) * ~hair.bald
    canvas.shade(1 - shadow)
    _paint(canvas, canvas.inside(mass), hair, mass, 1.0)


def _skull(canvas: Canvas, hair: Hair, head_width: Tensor) -> Tensor:
    """Depth below the outline of the hair on top of the head."""
    outline = ellipse(canvas.u, canvas.v - _CROWN, head_width + hair.volume, 0.70 + hair.volume)
    return outline + hair.stray


def _paint(canvas: Canvas, cover: Tensor, hair: Hair, depth: Tensor, brightness: float) -> None:
    """Strands along the fall of the hair, a band of shine, and dusk towards the edges."""
    u, v = canvas.u, canvas.v
    shine = 1 + 0.45 * bump((v - 0.66 + 0.6 * u * u) / 0.10) * (brightness == 1.0)
    edge = 0.78 + 0.22 * ramp(depth / 0.12)
    tone = brightness * hair.strands * shine * edge * canvas.light
    canvas.paint(cover, (hair.colour * tone[:, None] + 0.02).clamp(0, 1), Region.HAIR)
