"""Writes the multi-task packagings of Cityscapes as they are found in the wild; knows nothing of the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

FORMS: Final = ("mtan", "libmtl", "json")
TRAIN, TEST = 10, 3
HEIGHT, WIDTH = 16, 32

NINETEEN: Final = np.tile(np.arange(-1, 31) % 20 - 1, (HEIGHT, 1))
"""Columns of -1 (void) and 0 to 18."""

SEVEN: Final = np.where(NINETEEN < 0, -1, NINETEEN % 7)
DISPARITY: Final = np.full((HEIGHT, WIDTH), 8000.0)
DISPARITY[0], DISPARITY[1], DISPARITY[2], DISPARITY[3] = 0, 1, 2, 32257
"""As 16-bit codes: no measurement, infinitely far, the farthest measured, and the nearest."""


def colour(part: str, number: int) -> tuple[int, int, int]:
    return (20 * number, 100 if part == "train" else 30, 7)


def sample(part: str, number: int) -> dict[str, np.ndarray]:
    """Image, depth and labels in the types of the originals."""
    image = np.full((HEIGHT, WIDTH, 3), np.array(colour(part, number)) / 255)
    return {
        "image": image,
        "depth": (DISPARITY / 65535).astype(np.float32)[..., None],
        "label_2": (NINETEEN > 9).astype(np.int64),
        "label_7": SEVEN.astype(np.int64),
        "label_19": NINETEEN.astype(np.int64),
    }


def write_tree(root: Path, form: str = "mtan") -> Path:
    """Ten training and three test images: folders of all labels, LibMTL's with one, or the list of AdaShare."""
    listed: dict[str, list[list[str]]] = {"train": [], "test": []}
    for part, count, official in (("train", TRAIN, "train"), ("test", TEST, "val")):
        for number in range(count):
            arrays = sample(part, number)
            if form == "libmtl":
                arrays["label"] = arrays.pop("label_7")
                del arrays["label_2"], arrays["label_19"]
            for kind, values in arrays.items():
                file = root / official / kind / f"{number}.npy"
                file.parent.mkdir(parents=True, exist_ok=True)
                np.save(file, values)
            kinds = ("image", "depth", "label_2", "label_7", "label_19")
            listed[part].append([f"{official}/{kind}/{number}.npy" for kind in kinds])
    if form == "json":
        (root / "cityscape.json").write_text(json.dumps(listed))
    return root
