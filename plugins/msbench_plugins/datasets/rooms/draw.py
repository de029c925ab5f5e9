"""A stream of random numbers that depends on its key alone, on every machine and Python version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Random draws keyed by a path such as (seed, part, index).

    Only `Random.random` is used, whose stream for a string seed Python keeps stable.
    """

    def __init__(self, *key: int | str) -> None:
        self._key = "/".join(map(str, key))
        self._random = Random(self._key)

    def between(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def count(self, low: int, high: int) -> int:
        """Uniform whole number in [low, high]."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.count(0, len(choices) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.count(0, last)
            result[last], result[other] = result[other], result[last]
        return result

    def noise_seed(self) -> int:
        """Seed for a tensor generator of the same key."""
        return int.from_bytes(hashlib.sha256(f"{self._key}/noise".encode()).digest()[:7], "big")
