"""Sitters to pictures, masks and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..rooms.filters import blur
from .attributes import draw_attributes
from .canvas import Canvas
from .dice import Sitters
from .extras import paint_glasses, paint_hat, paint_occluder
from .features import paint_beard, paint_brows, paint_eyes, paint_mouth, paint_nose
from .hair import draw_hair, paint_back_hair, paint_front_hair
from .head import draw_skin, paint_backdrop, paint_body, paint_face

_PIXELS_AT_ONCE: Final = 65536
"""Pictures of about this many pixels together stay in the second-level cache."""


@dataclass(frozen=True)
class Portraits:
    """image: uint8 [B, 3, S, S]. segmentation: uint8 [B, S, S], of `Region`. attributes: uint8 [B, 6], 0 or 1."""

    image: Tensor
    segmentation: Tensor
    attributes: Tensor


@torch.no_grad()
def render(
    seed: int, part: str, indices: Sequence[int], size: int, report: Callable[[int], None] = lambda count: None
) -> Portraits:
    """Draw these faces; `report` hears how many more are done. A face does not depend on its company."""
    at_once = max(1, _PIXELS_AT_ONCE // size**2)
    drawn = []
    with _one_thread():
        for start in range(0, len(indices), at_once):
            sitters = Sitters(seed, part, indices[start : start + at_once])
            drawn.append(_draw(sitters, size))
            report(len(sitters.indices))
    return Portraits(*(torch.cat(pieces) for pieces in zip(*drawn, strict=True)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """A second thread gains nothing on small tensors, and spinning for work it loses much where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _draw(sitters: Sitters, size: int) -> tuple[Tensor, Tensor, Tensor]:
    traits, answers = draw_attributes(sitters)
    canvas = Canvas(sitters, size)
    skin, hair = draw_skin(sitters), draw_hair(canvas, sitters, traits)

    # from back to front
    paint_backdrop(canvas, sitters)
    paint_back_hair(canvas, hair, torch.full_like(hair.volume, 0.6))
    paint_body(canvas, sitters, traits, skin)
    head = paint_face(canvas, sitters, traits, skin)
    paint_nose(canvas, sitters, traits, head)
    paint_beard(canvas, sitters, traits, head, hair.colour)
    paint_mouth(canvas, sitters, traits, head)
    paint_eyes(canvas, sitters, traits, head)
    paint_brows(canvas, sitters, traits, hair.colour)
    paint_glasses(canvas, sitters)
    paint_front_hair(canvas, hair, head)
    paint_hat(canvas, sitters, head)
    paint_occluder(canvas, sitters)
    image = _photograph(canvas.image.view(-1, 3, size, size), sitters)
    return image, canvas.label.view(-1, size, size), answers


def _photograph(image: Tensor, sitters: Sitters) -> Tensor:
    """Exposure, contrast, colour of the light, focus and grain of a camera."""
    dice = sitters.dice("camera")
    tint = torch.cat([dice.between(0.92, 1.08) for _ in range(3)], 1)[:, :, None, None]
    exposure, contrast, focus, grain = (
        dice.between(low, high)[..., None, None] for low, high in ((0.75, 1.2), (0.8, 1.15), (0.2, 1), (0.005, 0.03))
    )
    lit = 0.45 + contrast * (image * tint * exposure - 0.45)
    sharp = lit + (1 - focus) * (blur(lit, 0.9) - lit)
    noisy = sharp + grain * sitters.noise((3, *image.shape[-2:]))
    return (noisy.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
