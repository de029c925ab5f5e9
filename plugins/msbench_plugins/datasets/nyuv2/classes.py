"""NYU's label sets: 40 classes, and the 13 that are unions of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..rooms.labels import NYU13, NYU13_OF_NYU40, NYU40, PALETTE13
from .files import VOID

NAMES: Final = {13: NYU13, 40: NYU40, 41: ("background", *NYU40)}
"""Class names by their number, in label order; 41 is the protocol that trains on the background."""

PALETTE: Final = {13: PALETTE13, 40: (), 41: ()}


def relabel(labels: np.ndarray, stored: int, wanted: int) -> np.ndarray:
    """Labels [H, W] from 0 (255 = void) of `stored` classes as labels of `wanted` classes."""
    if stored == wanted:
        return labels
    assert (stored, wanted) == (40, 13)
    table = np.full(256, VOID, np.uint8)
    table[: len(NYU40)] = np.array(NYU13_OF_NYU40) - 1
    return table[labels]
