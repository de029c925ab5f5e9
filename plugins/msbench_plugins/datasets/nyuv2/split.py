"""Validation carved out of the official training list, by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from ..pixels import shuffled

SEED: Final = 0
SHARE: Final = 0.2
"""159 of the 795 official training images."""

T = TypeVar("T")


def validation_positions(count: int) -> list[int]:
    """Which of `count` training samples, in official order, are for validation: always the same, at least one."""
    size = max(1, round(SHARE * count))
    return sorted(int(position) for position in shuffled(map(str, range(count)), f"nyuv2 {SEED}")[:size])


def carve(train: Sequence[T]) -> tuple[list[T], list[T]]:
    """Training and validation samples of an official training list."""
    chosen = set(validation_positions(len(train)))
    return (
        [sample for position, sample in enumerate(train) if position not in chosen],
        [sample for position, sample in enumerate(train) if position in chosen],
    )


def merge(train: Sequence[T], validation: Sequence[T]) -> list[T]:
    """The training list that `carve` parts so; where the sizes do not allow it, one after the other."""
    count = len(train) + len(validation)
    chosen = set(validation_positions(count)) if count else set()
    if len(chosen) != len(validation):
        return [*train, *validation]
    first, second = iter(train), iter(validation)
    return [next(second) if position in chosen else next(first) for position in range(count)]
