"""Writes Taskonomy trees as they are found in the wild; knows nothing of the loader."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

SUFFIX: Final = {
    "rgb": "rgb",
    "segment_semantic": "segmentsemantic",
    "normal": "normal",
    "depth_zbuffer": "depth_zbuffer",
    "depth_euclidean": "depth_euclidean",
    "keypoints2d": "keypoints2d",
    "edge_texture": "edge_texture",
}
OLD_NAMES: Final = {
    "segment_semantic": "segmentsemantic",
    "normal": "surface_normal",
    "depth_zbuffer": "depth",
    "depth_euclidean": "mist",
    "keypoints2d": "keypoint2d",
    "edge_texture": "edge2d",
}
LAYOUTS: Final = ("domain_first", "building_first", "sorted", "old_names")
SIDE: Final = 32
BUILDINGS: Final = ("hanson", "merom", "corozal", "mcdade", "adrian")
"""Two of the training part, one of validation, one of test, and one that is not in tiny."""

SEGMENTATION: Final = np.repeat(np.arange(16, dtype=np.uint8), 16).reshape(16, 16) + 2
SEGMENTATION[0], SEGMENTATION[1] = 0, 1
"""Rows of uncertain (0), background (1), and the objects 4 to 17."""

DEPTH: Final = np.full((16, 16), 1280, np.uint16)
DEPTH[:, 0], DEPTH[:, 1], DEPTH[:, 2], DEPTH[:, 3] = 65535, 64500, 64499, 300
NORMAL: Final = np.full((16, 16, 3), (128, 128, 255), np.uint8)
NORMAL[8:], NORMAL[:, 12:], NORMAL[:, 0], NORMAL[15] = (127, 0, 127), (255, 128, 127), (127, 128, 127), (36, 37, 128)
"""A wall, a floor (green is downwards), a wall to the left, the holes, and a slope."""

KEYPOINTS: Final = np.zeros((16, 16), np.uint16)
KEYPOINTS[3, 3], KEYPOINTS[4, 4], KEYPOINTS[5, 5] = 164, 328, 40_000
EDGES: Final = np.zeros((16, 16), np.uint16)
EDGES[:, 7], EDGES[:, 8] = 2621, 60_000


def png(values: np.ndarray) -> bytes:
    """A PNG of [H, W] or [H, W, 3], of 8 or 16 bits, written chunk by chunk."""
    wide, colour = values.dtype == np.uint16, values.ndim == 3
    rows = values.astype(">u2" if wide else "u1").reshape(len(values), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16 if wide else 8, 2 if colour else 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def large(values: np.ndarray) -> np.ndarray:
    return values.repeat(SIDE // 16, 0).repeat(SIDE // 16, 1)


def picture(domain: str, number: int) -> bytes:
    if domain == "rgb":
        return png(np.full((SIDE, SIDE, 3), (10 * number, 200, 255 - 10 * number), np.uint8))
    codes = {
        "segment_semantic": SEGMENTATION,
        "normal": NORMAL,
        "depth_zbuffer": DEPTH,
        "depth_euclidean": np.where(DEPTH == 1280, 1536, DEPTH).astype(np.uint16),
        "keypoints2d": KEYPOINTS,
        "edge_texture": EDGES,
    }
    return png(large(codes[domain]))


def path_of(layout: str, building: str, domain: str, point: int, view: int) -> str:
    name = f"point_{point}_view_{view}_domain_{SUFFIX[domain]}.png"
    if layout == "domain_first":
        return f"{domain}/taskonomy/{building}/{name}"
    if layout == "old_names":
        return f"{OLD_NAMES.get(domain, domain)}/{building}/{name}"
    if layout == "flat":
        return f"{domain}/{name}"
    prefix = f"{'test' if building == 'mcdade' else 'train'}/" if layout == "sorted" else ""
    return f"{prefix}{building}/{domain}/{name}"


def views(building: str, count: int) -> list[tuple[str, int, int]]:
    """Two views of every point."""
    return [(building, number // 2 + 8, number % 2) for number in range(count)]


def write_tree(root: Path, layout: str = "domain_first", buildings: Sequence[str] = BUILDINGS, count: int = 2) -> Path:
    """`count` views of each building."""
    for building in buildings:
        for number, (_, point, view) in enumerate(views(building, count)):
            for domain in SUFFIX:
                file = root / path_of(layout, building, domain, point, view)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture(domain, number))
    return root


def write_csv(file: Path, parts: dict[str, str], ends: str = "\r") -> Path:
    """The official list's form: buildings with the column that they are in; lone carriage returns end the lines."""
    columns = ("train", "val", "test")
    rows = [",".join([name, *("1" if column == part else "0" for column in columns)]) for name, part in parts.items()]
    file.write_bytes(ends.join(["id,train,val,test", *rows]).encode())
    return file


def write_json(file: Path, train: Sequence[str], test: Sequence[str], count: int, layout: str) -> Path:
    domains = ("rgb", "segment_semantic", "normal", "depth_zbuffer", "keypoints2d", "edge_texture")

    def rows(buildings: Sequence[str]) -> list[list[str]]:
        seen = [view for building in buildings for view in views(building, count)]
        return [[path_of(layout, view[0], domain, *view[1:]) for domain in domains] for view in seen]

    file.write_text(
        json.dumps({"train": rows(train), "train1": [], "train2": [], "test": rows(test), "test_small": []})
    )
    return file
