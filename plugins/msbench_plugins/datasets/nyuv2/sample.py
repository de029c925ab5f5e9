"""One sample in the axes and units that all layouts share, and its size in a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from msbench.api import CorruptSampleError, Decoded, Item, Part

from ..pixels import nearest
from .files import VOID


@dataclass(frozen=True)
class Sample:
    """Arrays of one sample, all of one height and width.

    image: uint8 [H, W, 3], RGB. labels: [H, W] from 0, 255 = void. depth: metres, float32 [H, W], 0 = unknown.
    normals: float32 [H, W, 3], unit, x right, y up, z toward the camera, zero = unknown.
    edges: float32 [H, W] from 0 to 1. None: not in this layout.
    """

    image: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    normals: np.ndarray | None = None
    edges: np.ndarray | None = None

    def checked(self, item: Item) -> Sample:
        """The same; CorruptSampleError where the arrays differ in size."""
        size = self.image.shape[:2]
        for what in ("labels", "depth", "normals", "edges"):
            array = getattr(self, what)
            if array is not None and array.shape[:2] != size:
                found = " and ".join("x".join(map(str, shape)) for shape in (size, array.shape[:2]))
                raise CorruptSampleError(
                    f"{item.files[0]}: image and {what} of sample {item.name} differ in size ({found}); copy both again"
                )
        return self

    def resized(self, height: int, width: int) -> Sample:
        """Bilinear for the image, nearest for labels, depth and normals, the strongest under a cell for edges."""
        if self.image.shape[:2] == (height, width):
            return self
        image = Image.fromarray(self.image).resize((width, height), Image.Resampling.BILINEAR)
        return replace(
            self,
            image=np.asarray(image),
            labels=nearest(self.labels, height, width),
            depth=nearest(self.depth, height, width),
            normals=None if self.normals is None else nearest(self.normals, height, width),
            edges=None if self.edges is None else _strongest(self.edges, height, width),
        )

    def decoded(self, wanted: tuple[str, ...]) -> Decoded:
        """The sample with these tasks: uint8 image and labels, the others in float32 as they were stored."""
        target: dict[str, Tensor] = {"segmentation": _tensor(self.labels.astype(np.uint8))}
        valid = {"segmentation": _tensor(self.labels != VOID)}
        target["depth"], valid["depth"] = _tensor(self.depth), _tensor(self.depth > 0)
        if self.normals is not None:
            target["normals"] = _tensor(np.moveaxis(self.normals, 2, 0))
            valid["normals"] = _tensor(self.normals.any(2))
        if self.edges is not None:
            target["edges"], valid["edges"] = _tensor(self.edges), torch.ones(self.edges.shape, dtype=torch.bool)
        return Decoded(
            _tensor(np.moveaxis(self.image, 2, 0)),
            {name: target[name] for name in wanted},
            {name: valid[name] for name in wanted},
        )


@dataclass(frozen=True)
class Listed:
    """Samples of an official list, made one at a time. places: part and row of each."""

    places: list[tuple[Part, int]]
    make: Callable[[Part, int], Sample]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Sample]:
        return (self.make(part, row) for part, row in self.places)


def _strongest(edges: np.ndarray, height: int, width: int) -> np.ndarray:
    pooled: np.ndarray = F.adaptive_max_pool2d(torch.from_numpy(edges)[None], (height, width))[0].numpy()
    return pooled


def _tensor(array: Any) -> Tensor:
    # a copy: what decoders return may be read-only, and torch wants positive strides
    return torch.from_numpy(np.array(array, order="C"))
