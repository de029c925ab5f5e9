"""What a step callback is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One optimizer step of a stage: its index, whether it is the stage's last, and the learning rate it used."""

    index: int
    last: bool
    lr: float
