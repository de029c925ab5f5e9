"""Targets computed from others: normals from depth, edges from labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

BLUR: Final = 4.0 / 640
"""Standard deviation of the blur, in image widths: 4 pixels at 640."""

JUMP: Final = 0.05
"""Relative depth range within 3x3 pixels from which on a pixel lies on a step, not on a surface."""


@dataclass(frozen=True)
class Camera:
    """A pinhole: focal lengths and principal point, in pixels, x before y."""

    fx: float
    fy: float
    cx: float
    cy: float

    def cropped(self, left: float, top: float) -> Camera:
        """The camera of an image that begins at this pixel."""
        return Camera(self.fx, self.fy, self.cx - left, self.cy - top)

    def scaled(self, x: float, y: float) -> Camera:
        """The camera of the image resized by these factors; pixel centres lie at whole numbers."""
        return Camera(self.fx * x, self.fy * y, (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5)


KINECT: Final = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
"""The colour camera at 640 x 480 (Silberman et al., ECCV 2012, the toolbox's calibration)."""


def camera(height: int, width: int, cropped: bool) -> Camera:
    """The colour camera of images of this size: of the whole frame, or of the toolbox's crop of it."""
    if cropped:
        return KINECT.cropped(40, 44).scaled(width / 561, height / 427)
    return KINECT.scaled(width / 640, height / 480)


def normals_from_depth(depth: np.ndarray, pinhole: Camera) -> np.ndarray:
    """Unit normals, float32 [H, W, 3], x right, y up, z toward the camera; zero where unknown.

    depth: metres [H, W], 0 = unknown. The back-projected points are blurred (a mean of points of a plane lies on
    the plane, at borders and beside holes too) and the normal is the cross product of their derivatives, turned
    toward the camera. Unknown: where the depth is, or where it jumps within the 3x3 neighbourhood.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

    height, width = depth.shape
    z = depth.astype(np.float64)
    known = z > 0
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([(column - pinhole.cx) / pinhole.fx * z, (row - pinhole.cy) / pinhole.fy * z, z])
    sigma = BLUR * width
    weight = np.maximum(gaussian_filter(known.astype(np.float64), sigma, mode="constant"), 1e-12)
    smooth = np.stack([gaussian_filter(plane * known, sigma, mode="constant") for plane in points]) / weight
    normal = np.cross(np.gradient(smooth, axis=2), np.gradient(smooth, axis=1), axis=0)
    normal *= np.where((normal * points).sum(0) > 0, -1.0, 1.0)
    length = np.sqrt(np.square(normal).sum(0))
    steps = (maximum_filter(z, 3) - minimum_filter(z, 3)) > JUMP * z
    usable = known & ~steps & (length > 0)
    unit = np.where(usable, normal / np.where(length > 0, length, 1.0), 0.0)
    # from the camera's axes (x right, y down, z forward)
    return np.stack([unit[0], -unit[1], -unit[2]], axis=2).astype(np.float32)


def boundaries(*labels: np.ndarray) -> np.ndarray:
    """1 where the right or the lower neighbour differs in any of these maps [H, W], 0 elsewhere; float32."""
    edges = np.zeros(labels[0].shape, bool)
    for plane in labels:
        edges[:, :-1] |= plane[:, 1:] != plane[:, :-1]
        edges[:-1] |= plane[1:] != plane[:-1]
    return edges.astype(np.float32)
