"""Images to compare networks on, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msbench.handover.saved import sizes

LIMIT = 1e-4
"""Greatest difference between a file's outputs and the compact network's: absolute for outputs up to 1 in magnitude,
relative to the task's greatest output beyond that."""

Outputs = Mapping[str, Tensor]


def probes(network: nn.Module, example: Tensor) -> list[Tensor]:
    """Noise like `example` [B, C, ...] in its own and other sizes and batch sizes, as far as `network` takes them."""
    generator = torch.Generator().manual_seed(0)
    channels, *size = example.shape[1:]
    odd = [side + 2 * index + 5 for index, side in enumerate(size)]
    large = [2 * side + 8 * index for index, side in enumerate(size)]
    scale = float(example.double().std()) if example.numel() > 1 else 1.0
    found = [example]
    for shape in ([3, channels, *size], [1, channels, *size], [1, channels, *odd], [2, channels, *large]):
        noise = torch.randn(shape, generator=generator, dtype=example.dtype) * (scale or 1.0) + example.mean()
        if _takes(network, noise):
            found.append(noise)
    return found


@torch.inference_mode()
def outputs(network: nn.Module, image: Tensor) -> Outputs:
    """What a network returns for an image, by task; a network of one output calls it "output"."""
    found = network(image)
    return {"output": found} if isinstance(found, Tensor) else found


def difference(expected: Sequence[Outputs], actual: Sequence[Outputs]) -> tuple[float, str]:
    """The greatest difference over all images, and the first task (with its difference) beyond LIMIT, else ""."""
    greatest, wrong = 0.0, ""
    for one, other in zip(expected, actual, strict=True):
        for task, value in one.items():
            found = _greatest(value, other[task])
            if found == float("inf") or found > LIMIT * max(1.0, _largest(value)):
                wrong = wrong or f"{task}: outputs differ by {found:.3g}, allowed {LIMIT:g}"
            greatest = max(greatest, found)
    return greatest, wrong


def _greatest(value: Tensor, other: Tensor) -> float:
    if value.shape != other.shape:
        return float("inf")
    found = _largest(value - other)
    return found if found >= 0 else float("inf")  # not a number compares false with everything


def _largest(value: Tensor) -> float:
    return float(value.abs().max()) if value.numel() else 0.0


def _takes(network: nn.Module, image: Tensor) -> bool:
    try:
        outputs(network, image)
    except Exception:  # the model's own code refuses an image as it likes
        return False
    return True


@dataclass(frozen=True)
class Attempt:
    """One way to export: `traced` is the image to trace with, `free` its dimensions that may differ, by name.

    images: what the exported program must then take.
    """

    traced: Tensor
    free: Mapping[int, str]
    images: Sequence[Tensor]


def attempts(images: Sequence[Tensor]) -> list[Attempt]:
    """From all sizes free, over any batch of the example's size, to the example's shape only."""
    example = images[0]
    names = sizes(images)
    free = {index: name for index, name in enumerate(names) if isinstance(name, str)}
    alike = [image for image in images if image.shape[1:] == example.shape[1:]]
    found = []
    if len(free) > 1:
        # several times the example: a size that shrinks to 1 on the way would be taken for a constant
        sides = [side * (4 + 2 * index) if index + 2 in free else side for index, side in enumerate(example.shape[2:])]
        found.append(Attempt(example.new_zeros(2, example.shape[1], *sides), free, images))
    if 0 in free:
        found.append(Attempt(example.new_zeros(2, *example.shape[1:]), {0: free[0]}, alike))
    same = [image for image in alike if image.shape == example.shape]
    return [*found, Attempt(torch.zeros_like(example), {}, same)]


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [""])[0][:300]
