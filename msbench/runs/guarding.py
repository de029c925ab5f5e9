"""What is watched while a sparsifier runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from msbench.training.trainer import Trainer


@contextmanager
def diverged_first(trainer: Trainer) -> Iterator[None]:
    """What a loss that is no number has led to is reported as that loss."""
    try:
        yield
    except Exception:
        trainer.history.check()
        raise


@contextmanager
def untouched_global_generators(name: str) -> Iterator[None]:
    """Raise RuntimeError when the block leaves torch's, numpy's or Python's global generator changed."""

    def states() -> dict[str, Any]:
        position: Any = np.random.get_state()
        return {
            "torch": torch.random.get_rng_state().numpy().tobytes(),
            "numpy": (position[1].tobytes(), position[2]),
            "random": random.getstate(),
        }

    before = states()
    yield
    after = states()
    for library in before:
        if before[library] != after[library]:
            raise RuntimeError(f"{name} used the global generator of {library}; draw from trainer.generator instead")
