"""How the kept weights of a sparse network are shared out among its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, prod
from typing import Literal

Densities = Literal["erk", "uniform"]
Shapes = Mapping[str, Sequence[int]]
"""Layer name to its weight's shape, in module order."""


def kept_weights(shapes: Shapes, kept: int, densities: Densities) -> dict[str, int]:
    """Kept weights of each layer, `kept` in all: its density times its weights, by largest remainder."""
    shares = (erk if densities == "erk" else uniform)(shapes, kept)
    exact = {name: shares[name] * prod(shape) for name, shape in shapes.items()}
    # a count that is whole but for rounding errors must not lose one
    counts = {name: floor(value + 1e-6) for name, value in exact.items()}
    missing = kept - sum(counts.values())
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[:missing]:
        counts[name] += 1
    return counts


def erk(shapes: Shapes, kept: int) -> dict[str, float]:
    """Erdos-Renyi-Kernel: density ε (sum of dimensions) / (product of dimensions), with ε such that `kept` stay.

    A layer whose density would exceed 1 is dense, and ε is solved again for the others (Evci et al., 2020, power 1).
    """
    dense: set[str] = set()
    while True:
        sparse = {name: shape for name, shape in shapes.items() if name not in dense}
        room = kept - sum(prod(shapes[name]) for name in dense)
        epsilon = room / max(1, sum(sum(shape) for shape in sparse.values()))
        found = {name: epsilon * sum(shape) / prod(shape) for name, shape in sparse.items()}
        full = {name for name, density in found.items() if density > 1.0}
        if not full:
            return {name: found.get(name, 1.0) for name in shapes}
        dense |= full


def uniform(shapes: Shapes, kept: int) -> dict[str, float]:
    """The first layer dense, all others at one density; the first like the others where it would not fit."""
    first, total = next(iter(shapes)), sum(prod(shape) for shape in shapes.values())
    others = total - prod(shapes[first])
    if others == 0 or kept <= prod(shapes[first]):
        return dict.fromkeys(shapes, kept / total)
    return {name: 1.0 if name == first else (kept - prod(shapes[first])) / others for name in shapes}
