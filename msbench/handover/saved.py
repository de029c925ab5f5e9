"""What is known of a file that was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Saved:
    """A file that a product can load.

    image: what each dimension of the input may be: its name where any size will do, else the size.
    max_abs_diff: greatest difference between the file's outputs and the compact network's, over `images` images.
    notes: what else a user should know, a line each.
    """

    path: Path
    bytes: int
    image: tuple[str | int, ...]
    max_abs_diff: float
    images: int
    notes: tuple[str, ...] = ()


def sizes(images: Sequence[Tensor]) -> tuple[str | int, ...]:
    """The name of each dimension in which these images differ, the size of the others."""
    spatial = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}
    names = ("batch", "channels", *spatial.get(images[0].ndim, ()))
    found = [{image.shape[index] for image in images} for index in range(len(names))]
    return tuple(name if len(seen) > 1 else seen.pop() for name, seen in zip(names, found, strict=True))
