"""Patterns evaluated at surface points, and the lattice noise that they share.

The hash is whole-number arithmetic, so that a pattern is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .material import Pattern

Mix = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def lattice(x: Tensor, y: Tensor, salt: Tensor) -> Tensor:
    """A number in [0, 1) for every pair of whole numbers (held as floats) and salt."""
    value = x.int() * 668265263 ^ y.int() * 374761393 ^ salt.int() * 1274126177
    value = (value ^ (value >> 15)) * 739982445
    value = (value ^ (value >> 12)) * 695872825
    value = value ^ (value >> 15)
    return (value & 0xFFFFFF).float() * (1.0 / 2**24)


def value_noise(x: Tensor, y: Tensor, salt: Tensor) -> Tensor:
    """Smooth noise in [0, 1): lattice values under cubic interpolation."""
    column, row = x.floor(), y.floor()
    fx, fy = x - column, y - row
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    a, b = lattice(column, row, salt), lattice(column + 1, row, salt)
    c, d = lattice(column, row + 1, salt), lattice(column + 1, row + 1, salt)
    low, high = a + (b - a) * fx, c + (d - c) * fx
    return low + (high - low) * fy


def _check(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    return (u.floor() + v.floor()) % 2


def _plank(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    return lattice(u.floor(), torch.zeros_like(u), salt) * 0.75 + 0.25 * value_noise(u * 3, v * 0.6, salt)


def _brick(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    row = v.floor()
    along = u * 0.5 + 0.5 * (row % 2)
    joint = ((along - along.floor()) < 0.06) | ((v - row) < 0.1)
    return torch.where(joint, 1.0, 0.3 * lattice(along.floor(), row, salt))


def _noise(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    return 0.6 * value_noise(u, v, salt) + 0.4 * value_noise(u * 2.3, v * 2.3, salt + 1)


def _drawer(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    """Dark joints between drawers, and one down the middle."""
    return (((v - v.floor()) < 0.07) | (u.abs() < 0.03)).float()


def _sky(u: Tensor, v: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    """First colour above, second below, with a horizon that is not quite straight."""
    horizon = 0.35 + 0.25 * value_noise(u * 3, torch.zeros_like(u), salt)
    return ((horizon - up) * 6 + 0.5).clamp(0, 1) * 0.85 + (1 - up) * 0.15


_MIXES: dict[Pattern, Mix] = {
    Pattern.CHECK: _check,
    Pattern.PLANK: _plank,
    Pattern.BRICK: _brick,
    Pattern.NOISE: _noise,
    Pattern.DRAWER: _drawer,
    Pattern.SKY: _sky,
}


def albedo(pattern: Tensor, *, u: Tensor, v: Tensor, up: Tensor, salt: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Reflectance [3, M] at M surface points.

    u, v: coordinates on the surface in units of the pattern. up: height within the solid, 0 to 1.
    first, second: the material's colours [3, M].
    """
    mix = torch.zeros_like(u)
    for kind, evaluate in _MIXES.items():
        where = (pattern == kind).nonzero().squeeze(1)
        if len(where):
            mix[where] = evaluate(u[where], v[where], up[where], salt[where])
    colour = first * (1 - mix) + second * mix
    where = (pattern == Pattern.BOOKS).nonzero().squeeze(1)
    if len(where):
        colour[:, where] = _book_spines(u[where], up[where], salt[where])
    return colour


def _book_spines(u: Tensor, up: Tensor, salt: Tensor) -> Tensor:
    """Spines of random colour and height, with dark above the short ones."""
    book = u.floor()
    top = lattice(book, torch.full_like(u, 5.0), salt) * 0.35 + 0.65
    channels = [lattice(book, torch.full_like(u, float(i)), salt) * (up < top) for i in range(3)]
    return torch.stack(channels) * 0.9 + 0.05
