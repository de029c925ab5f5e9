"""Six attributes that hang together, and how strongly each shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final

import torch
from torch import Tensor

from .dice import Sitters

NAMES: Final = ("male", "smiling", "big_lips", "high_cheekbones", "wearing_lipstick", "arched_eyebrows")
LABELS: Final = ("male", "smiling", "big lips", "high cheekbones", "wearing lipstick", "arched eyebrows")

PREVALENCE: Final = (0.37, 0.47, 0.37, 0.48, 0.52, 0.38)
"""Shares of yes before the annotators' slips; where they are published, close to those of CelebAMask-HQ."""

_SLIPS: Final = 0.02
"""Share of answers that are wrong, as annotators make mistakes."""

_CORRELATION: Final = {
    ("male", "smiling"): -0.15,
    ("male", "big_lips"): -0.25,
    ("male", "high_cheekbones"): -0.35,
    ("male", "wearing_lipstick"): -0.93,
    ("male", "arched_eyebrows"): -0.6,
    ("smiling", "big_lips"): -0.05,
    ("smiling", "high_cheekbones"): 0.8,
    ("smiling", "wearing_lipstick"): 0.2,
    ("smiling", "arched_eyebrows"): 0.1,
    ("big_lips", "high_cheekbones"): 0.1,
    ("big_lips", "wearing_lipstick"): 0.25,
    ("big_lips", "arched_eyebrows"): 0.15,
    ("high_cheekbones", "wearing_lipstick"): 0.35,
    ("high_cheekbones", "arched_eyebrows"): 0.25,
    ("wearing_lipstick", "arched_eyebrows"): 0.6,
}
"""Of the normal variables below the answers, with the signs that the attributes have in CelebA."""

_CONTRAST: Final = 2.6
_VAGUENESS: Final = 0.45


@dataclass(frozen=True)
class Traits:
    """How strongly each attribute shows, [B, 1] in (0, 1): above a half where the answer is mostly yes."""

    male: Tensor
    smiling: Tensor
    big_lips: Tensor
    high_cheekbones: Tensor
    wearing_lipstick: Tensor
    arched_eyebrows: Tensor


def draw_attributes(sitters: Sitters) -> tuple[Traits, Tensor]:
    """Traits, and the answers uint8 [B, 6] in the order of `NAMES`.

    A thresholded normal variable is the answer; a noisy view of the same variable is what shows. Faces near a
    threshold look undecided, so that no classifier can be always right.
    """
    dice = sitters.dice("attributes")
    latent = _six(dice.normal) @ _factor().T - _thresholds()
    slips = torch.cat([dice.chance(_SLIPS) for _ in NAMES], 1)
    strength = torch.sigmoid(_CONTRAST * latent + _VAGUENESS * _six(dice.normal)).float()
    return Traits(*strength.split(1, dim=1)), ((latent > 0) ^ slips).to(torch.uint8)


def _six(throw: Callable[[], Tensor]) -> Tensor:
    return torch.cat([throw() for _ in NAMES], 1)


@cache
def _factor() -> Tensor:
    """Lower Cholesky factor of the correlation matrix."""
    matrix = torch.eye(len(NAMES), dtype=torch.float64)
    for (first, second), value in _CORRELATION.items():
        i, j = NAMES.index(first), NAMES.index(second)
        matrix[i, j] = matrix[j, i] = value
    return torch.linalg.cholesky(matrix)


@cache
def _thresholds() -> Tensor:
    return torch.tensor([NormalDist().inv_cdf(1 - share) for share in PREVALENCE], dtype=torch.float64)
