"""Random training data for benchmarks."""

from __future__ import annotations

import torch

from msbench.api import TensorSamples

CLASSES = 13


def random_samples(count: int, size: int) -> TensorSamples:
    """Random images and labels."""
    shape = (count, size, size)
    target = {
        "segmentation": torch.randint(0, CLASSES, shape),
        "depth": 1 + torch.rand(shape),
        "normals": torch.nn.functional.normalize(torch.randn(count, 3, size, size), dim=1),
    }
    image = torch.randint(0, 255, (count, 3, size, size), dtype=torch.uint8)
    return TensorSamples(image, target, dict.fromkeys(target, torch.ones(shape, dtype=torch.bool)))
