"""Normals as colours, in the encoding of Ladicky, Zeisl and Pollefeys (ECCV 2014)."""

from __future__ import annotations

import numpy as np


def decode(colours: np.ndarray) -> np.ndarray:
    """Ladicky's encoding, uint8 [H, W, 3]: red is right, green forward, blue up, (n + 1) / 2 · 255; white is void.

    Gives float32 [H, W, 3], x right, y up, z toward the camera; zero where void. Unit length is left to `as_normals`.
    """
    vector = colours.astype(np.float32) / np.float32(127.5) - 1
    canonical = np.stack([vector[..., 0], vector[..., 2], -vector[..., 1]], axis=2)
    length = np.sqrt(np.square(canonical).sum(2, keepdims=True))
    known = (colours < 255).any(2, keepdims=True) & (length > 0.5)
    return np.where(known, canonical / np.maximum(length, np.float32(0.5)), np.float32(0))


def undecoded(colours: np.ndarray) -> np.ndarray:
    """The bytes as vectors of unit length, zero where white or black."""
    vector = colours.astype(np.float32)
    length = np.sqrt(np.square(vector).sum(2, keepdims=True))
    return np.where((colours < 255).any(2, keepdims=True), vector / np.maximum(length, 1), np.float32(0))


def encode(normals: np.ndarray) -> np.ndarray:
    """Colours uint8 [H, W, 3] of normals float32 [H, W, 3] (x right, y up, z toward the camera); white where zero.

    A colour stands for a direction, whatever its length: of the colours within 0.69 % of unit length (as far as
    rounding alone can lead) the one with the nearest direction is taken. What `decode` gave gets its own colour back,
    also where someone else has cut off in place of rounding (1.4 %).
    """
    forward = np.stack([normals[..., 0], -normals[..., 2], normals[..., 1]], axis=2).astype(np.float64)
    best = np.full(normals.shape, 255, np.uint8)
    least = np.full(normals.shape[:2], np.inf)
    for scale in (1.0, 1 - 0.0065, 1 + 0.0065, 1 - 0.013, 1 + 0.013):
        colours = np.round((forward * scale + 1) * 127.5).clip(0, 255).astype(np.uint8)
        length = np.sqrt(np.square(colours / 127.5 - 1).sum(2))
        error = np.square(decode(colours).astype(np.float64) - normals).sum(2)
        error[(np.abs(length - 1) > 0.0069) & (error > 0)] = np.inf
        nearer = error < least
        best[nearer], least[nearer] = colours[nearer], error[nearer]
    best[~normals.any(2)] = 255
    return best
