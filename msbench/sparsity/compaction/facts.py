"""What is known of the channels of one value of the network, before anything is rebuilt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor


class Kind(IntEnum):
    """How much of the input a channel depends on."""

    DYNAMIC = 0
    """On the image."""
    MAP = 1
    """On the image's size only: it differs by position, because zero padding leaves a border."""
    UNIFORM = 2
    """On nothing: one number everywhere."""


@dataclass(frozen=True)
class Facts:
    """The channels (dimension `dim`) of one value of `ndim` dimensions, the first of which is the batch.

    kind [C]: a `Kind` each. value [C], float64: the number that a UNIFORM channel holds, 0 for the others.
    """

    kind: Tensor
    value: Tensor
    ndim: int
    dim: int = 1

    @classmethod
    def dynamic(cls, channels: int, ndim: int, dim: int = 1) -> Facts:
        """Every channel depends on the image: always a safe statement."""
        return cls(torch.zeros(channels, dtype=torch.long), torch.zeros(channels, dtype=torch.float64), ndim, dim)

    def of(self, kind: Kind) -> Tensor:
        """Which channels are of this kind: booleans [C]."""
        return self.kind == kind

    @property
    def size(self) -> int:
        """How many channels there are."""
        return len(self.kind)

    @property
    def computed(self) -> Tensor:
        """Which channels a network must compute when somebody reads them: booleans [C]."""
        return self.kind != Kind.UNIFORM

    def column(self, values: Tensor) -> Tensor:
        """One number a channel [n], shaped so that it broadcasts against this value."""
        return values.view([-1 if dim == self.dim else 1 for dim in range(self.ndim)])


def round_up(channels: Tensor, candidates: Tensor, multiple: int) -> Tensor:
    """`channels` [C] and as many of the other `candidates` [C] as make their number a multiple, or as there are."""
    missing = -int(channels.sum()) % multiple
    more = channels.clone()
    more[(candidates & ~channels).nonzero().flatten()[:missing]] = True
    return more
