"""Files of the layouts that are folders of arrays and images."""

from __future__ import annotations

import io
import json
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from .adashare import LIST
from .files import VOID
from .ladicky import encode
from .mtan import FOLDERS
from .sample import Listed, Sample

_QUALITY: Final = 95
_ROUNDS: Final = 100


def write_mtan(folder: Path, samples: Listed) -> None:
    """`{image,label,depth,normal}/<i>.npy` of one part, counted from 0."""
    _make(folder, *FOLDERS)
    for index, sample in enumerate(samples):
        labels = np.where(sample.labels == VOID, np.int64(-1), sample.labels.astype(np.int64))
        colours = sample.image.astype(np.float32) / np.float32(255)
        arrays = (colours, labels, sample.depth[..., None], _normals(sample))
        for name, array in zip(FOLDERS, arrays, strict=True):
            np.save(folder / name / f"{index}.npy", np.ascontiguousarray(array))


def write_adashare(folder: Path, train: Listed, test: Listed) -> None:
    """PNG and .npy files numbered from 0, training samples first, and the list of both."""
    _make(folder, "img", "seg", "normal_mask", "depth")
    rows = []
    for index, sample in enumerate(chain(train, test)):
        name = f"{index:04d}"
        row = [f"img/{name}.png", f"seg/{name}.png", f"normal_mask/{name}.png", f"depth/{name}.npy"]
        for path, pixels in zip(row, (sample.image, sample.labels, encode(_normals(sample))), strict=False):
            Image.fromarray(pixels).save(folder / path)
        np.save(folder / row[3], sample.depth)
        rows.append(row)
    split, half = len(train), len(train) // 2
    listed = {"train": rows[:split], "train1": rows[:half], "train2": rows[half:split], "test": rows[split:]}
    (folder / LIST).write_text(json.dumps(listed), encoding="utf-8")


def write_nyud_mt(folder: Path, train: Listed, test: Listed) -> None:
    """Files named by the number of the image, counted from 1, training samples first, and the lists of both."""
    _make(folder, "images", "segmentation", "depth", "normals", "edge", "gt_sets")
    names = [f"{number + 1:04d}" for number in range(len(train) + len(test))]
    for name, sample in zip(names, chain(train, test), strict=True):
        assert sample.edges is not None
        (folder / "images" / f"{name}.jpg").write_bytes(lasting_jpeg(sample.image))
        labels = np.where(sample.labels == VOID, 0, sample.labels.astype(np.int64) + 1).astype(np.uint8)
        Image.fromarray(labels).save(folder / "segmentation" / f"{name}.png")
        np.save(folder / "depth" / f"{name}.npy", sample.depth)
        np.save(folder / "normals" / f"{name}.npy", np.ascontiguousarray(_normals(sample)))
        np.save(folder / "edge" / f"{name}.npy", (sample.edges >= 0.5).astype(np.float32))
    for part, listed in (("train", names[: len(train)]), ("val", names[len(train) :])):
        (folder / "gt_sets" / f"{part}.txt").write_text("".join(f"{name}\n" for name in listed), encoding="ascii")


def lasting_jpeg(image: np.ndarray) -> bytes:
    """A JPEG that, decoded and encoded again, is itself: reading an export and writing it again changes nothing.

    Coarser steps settle sooner; the finest that settles is taken.
    """
    for quality in range(_QUALITY, 0, -5):
        pixels = image
        previous = b""
        for _ in range(_ROUNDS):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, format="JPEG", quality=quality, subsampling=0)
            if stream.getvalue() == previous:
                return previous
            previous = stream.getvalue()
            pixels = np.asarray(Image.open(io.BytesIO(previous)))
    return previous


def _normals(sample: Sample) -> np.ndarray:
    assert sample.normals is not None
    return sample.normals


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
