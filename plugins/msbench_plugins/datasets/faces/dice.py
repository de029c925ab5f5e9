"""Random numbers for many faces at once, each face from a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import torch
from torch import Tensor

from ..rooms.draw import Draw

_STANDARD: Final = NormalDist()


@dataclass(frozen=True)
class Sitters:
    """Who is drawn: faces of one part, by index."""

    seed: int
    part: str
    indices: Sequence[int]

    def dice(self, topic: str) -> Dice:
        """Dice of one topic ("hair"): another draw in one topic changes no other."""
        return Dice([Draw(self.seed, self.part, index, "faces", topic) for index in self.indices])

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise [B, *shape], the same for a face whatever its company."""
        seeds = (Draw(self.seed, self.part, index, "faces").noise_seed() for index in self.indices)
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


class Dice:
    """One throw gives a column [B, 1]: a number for each of B faces."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        self._draws = draws

    def between(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high)."""
        return torch.tensor([[draw.between(low, high)] for draw in self._draws])

    def chance(self, probability: float | Tensor) -> Tensor:
        """True with this probability, which may differ between the faces."""
        return self.between() < probability

    def normal(self) -> Tensor:
        """Standard normal, float64."""
        values = [[_STANDARD.inv_cdf(draw.between(1e-9, 1.0))] for draw in self._draws]
        return torch.tensor(values, dtype=torch.float64)

    def colour(self, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]) -> Tensor:
        """A colour [B, 3, 1] from ranges of hue, saturation and value."""
        return hsv(self.between(*hue), self.between(*saturation), self.between(*value))


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """RGB [B, 3, 1] of columns [B, 1]; the hue may leave [0, 1]."""
    wheel = (hue * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6
    purity = ((wheel - 3).abs() - 1).clamp(0, 1)
    return (value * (1 - saturation * (1 - purity)))[..., None]
