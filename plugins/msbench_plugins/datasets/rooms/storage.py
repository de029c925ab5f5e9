"""Rendered rooms packed for the disk, and unpacked a batch at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor

from msbench.api import Batch, Samples

from .labels import NYU13_OF_NYU40, VOID
from .render import Rendered

_MILLIMETRES: Final = 1000.0
_NORMAL_STEPS: Final = 127.0
IGNORE: Final = 255


def encode(rendered: Rendered) -> dict[str, Tensor]:
    """Ten bytes a pixel. Depth within 0.5 mm, normals within 0.4 degrees; both zero where not valid."""
    valid = rendered.valid
    return {
        "image": rendered.image,
        "label": rendered.label,
        "depth": (rendered.depth * _MILLIMETRES).round().mul(valid).to(torch.int16),
        "normals": (rendered.normal * _NORMAL_STEPS).round().mul(valid[:, None]).to(torch.int8),
        "edges": (rendered.edges * 255).round().to(torch.uint8),
        "valid": valid.to(torch.uint8),
    }


def batch_labels(classes: int) -> Tensor:
    """Table from stored labels (NYU-40, 0 = void) to those of a batch (from 0, 255 = ignore)."""
    table = torch.full((len(NYU13_OF_NYU40) + 1,), IGNORE, dtype=torch.uint8)
    for label, coarse in enumerate(NYU13_OF_NYU40, start=1):
        table[label] = (label if classes == len(NYU13_OF_NYU40) else coarse) - 1
    assert table[VOID] == IGNORE
    return table


class RoomsSamples(Samples):
    """One part of the rooms, packed in memory."""

    def __init__(self, file: Path, classes: int) -> None:
        stored = load_file(file)
        self._image = stored["image"]
        self._label = batch_labels(classes)[stored["label"].int()]
        self._depth, self._normals = stored["depth"], stored["normals"]
        self._edges, self._valid = stored["edges"], stored["valid"]

    def __len__(self) -> int:
        return len(self._image)

    def batch(self, indices: Tensor) -> Batch:
        label = self._label[indices].long()
        valid = self._valid[indices].bool()
        target = {
            "segmentation": label,
            "depth": self._depth[indices].float().div_(_MILLIMETRES),
            "normals": _unit(self._normals[indices].float()),
            "edges": self._edges[indices].float().div_(255.0),
        }
        masks = {
            "segmentation": label != IGNORE,
            "depth": valid,
            "normals": valid.clone(),
            "edges": torch.ones_like(valid),
        }
        return Batch(self._image[indices].float().div_(255.0), target, masks)


def _unit(normals: Tensor) -> Tensor:
    """Unit vectors [B, 3, H, W]; zero stays zero."""
    x, y, z = normals.unbind(1)
    length = (x * x + y * y + z * z).sqrt_().clamp_min_(1.0)
    return normals.div_(length[:, None])
