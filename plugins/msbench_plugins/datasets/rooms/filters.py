"""Vector products and small image filters.

They are made of sums and shifts, whose result does not depend on batch size or thread count.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of vectors [3, ...]."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def length(vector: Tensor) -> Tensor:
    """Length of vectors [3, ...], at least 1e-6."""
    return dot(vector, vector).sqrt().clamp_min(1e-6)


def grey(image: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) of [B, 3, H, W] as [B, 1, H, W]."""
    return 0.299 * image[:, 0:1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:3]


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, C, H, W], borders replicated, cut at three sigma."""
    radius = max(1, int(3 * sigma + 0.5))
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    total = sum(weights)
    height, width = image.shape[-2:]
    padded = F.pad(image, (radius, radius, radius, radius), mode="replicate")
    rows = padded[..., :height, :] * (weights[0] / total)
    for offset, weight in enumerate(weights[1:], start=1):
        rows = rows + padded[..., offset : offset + height, :] * (weight / total)
    result = rows[..., :width] * (weights[0] / total)
    for offset, weight in enumerate(weights[1:], start=1):
        result = result + rows[..., offset : offset + width] * (weight / total)
    return result


def sobel(image: Tensor) -> Tensor:
    """Gradient magnitude of [B, 1, H, W], scaled so that a unit step across one axis gives 1 / sqrt 2."""
    p = F.pad(image, (1, 1, 1, 1), mode="replicate")
    left, centre, right = p[..., :-2], p[..., 1:-1], p[..., 2:]
    smooth = (left + 2 * centre + right) / 4
    vertical = smooth[..., :-2, :] - smooth[..., 2:, :]
    across = right - left
    horizontal = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4
    return ((vertical**2 + horizontal**2) / 2).sqrt()
