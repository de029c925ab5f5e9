"""Torch's default generators lent to a model's random layers, and put back untouched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class ModelRandomness:
    """Dropout and its like draw from torch's default generators. While the model runs they hold a state of its own,
    which goes on from one forward to the next; outside they are as they were.

    states: of the generators while they are not lent.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        generators = [torch.Generator(place).manual_seed(seed) for place in self._places()]
        self.states = [generator.get_state() for generator in generators]

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Run the model inside this."""
        outside = self._swap(self.states)
        try:
            yield
        finally:
            self.states = self._swap(outside)

    def _places(self) -> list[torch.device]:
        cpu = torch.device("cpu")
        return [cpu] if self._device.type == "cpu" else [cpu, self._device]

    def _swap(self, states: list[Tensor]) -> list[Tensor]:
        found = [torch.random.get_rng_state()]
        torch.random.set_rng_state(states[0])
        if self._device.type == "cuda":
            found.append(torch.cuda.get_rng_state(self._device))
            torch.cuda.set_rng_state(states[1], self._device)
        return found
