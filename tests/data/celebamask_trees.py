"""Writes CelebAMask-HQ trees as they are found in the wild; knows nothing of the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

COLUMNS: Final = ("Smiling", "Bald", "Male", "Big_Lips", "High_Cheekbones", "Wearing_Lipstick", "Arched_Eyebrows")
SIX: Final = ("Male", "Smiling", "Big_Lips", "High_Cheekbones", "Wearing_Lipstick", "Arched_Eyebrows")

BOXES: Final = {
    "skin": (4, 12, 4, 12),
    "nose": (7, 9, 7, 9),
    "eye_g": (6, 7, 4, 12),
    "l_eye": (6, 7, 5, 6),
    "l_ear": (6, 9, 3, 4),
    "u_lip": (10, 11, 6, 10),
    "hair": (1, 5, 4, 12),
    "hat": (0, 2, 4, 12),
    "ear_r": (9, 10, 3, 4),
    "neck": (12, 15, 6, 10),
    "cloth": (15, 16, 0, 16),
}
"""Rows and columns of each part of the drawn face; they overlap as the real ones do."""

FACE: Final = (
    "....HHHHHHHH....",
    "....HHHHHHHH....",
    "....hhhhhhhh....",
    "....hhhhhhhh....",
    "....hhhhhhhh....",
    "....ssssssss....",
    "...agegggggg....",
    "...asssnnsss....",
    "...asssnnsss....",
    "...rssssssss....",
    "....ssuuuuss....",
    "....ssssssss....",
    "......kkkk......",
    "......kkkk......",
    "......kkkk......",
    "cccccccccccccccc",
)
"""What is seen of them."""

NUMBER: Final = {".": 0, "s": 1, "n": 2, "g": 3, "e": 4, "a": 8, "u": 11, "h": 13, "H": 14, "r": 15, "k": 17, "c": 18}
NINETEEN: Final = np.array([[NUMBER[letter] for letter in line] for line in FACE], np.uint8)
THREE: Final = np.array([[{"h": 1}.get(c, 2 * (c in "sngeau")) for c in line] for line in FACE], np.uint8)

ORIGINAL: Final = (0, 100_000, 162_769, 162_770, 182_636, 182_637)
"""CelebA's numbers of the images, on both sides of its borders between the parts."""


def answer(image: int, column: str) -> bool:
    return (image + 2 * COLUMNS.index(column)) % 3 == 0


def colour(image: int) -> tuple[int, int, int]:
    return (40 * image, 200 - 30 * image, 90)


def write_tree(root: Path, form: str = "parts", count: int = 6, count_line: bool = True) -> Path:
    """`count` images of 64 pixels with masks of 32, in one of the forms below."""
    (root / "CelebA-HQ-img").mkdir(parents=True)
    for image in range(count):
        Image.new("RGB", (64, 64), colour(image)).save(root / "CelebA-HQ-img" / f"{image}.jpg", quality=95)
    {"parts": parts, "misspelt": misspelt, "merged": merged, "palette": palette, "zero": zero, "void": void}[form](
        root, count
    )
    rows = [f"{i}.jpg  " + " ".join("1" if answer(i, name) else "-1" for name in COLUMNS) for i in range(count)]
    head = [str(count)] * count_line + [" ".join(COLUMNS)]
    (root / "CelebAMask-HQ-attribute-anno.txt").write_bytes(("\n".join(head + rows) + "\n").encode())
    lines = [f"{i:>8d}{ORIGINAL[i % 6]:>12d}      {ORIGINAL[i % 6] + 1:06d}.jpg" for i in range(count)]
    head_line = "idx\t     orig_idx   orig_file"
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_bytes(("\n".join([head_line, *lines]) + "\n").encode())
    return root


def parts(root: Path, count: int, folder: str = "CelebAMask-HQ-mask-anno") -> None:
    for image in range(count):
        place = root / folder / str(image // 2000)
        place.mkdir(parents=True, exist_ok=True)
        for name, (top, bottom, left, right) in BOXES.items():
            mask = np.zeros((16, 16), np.uint8)
            mask[top:bottom, left:right] = 255
            # grey or colour: both are found
            picture = Image.fromarray(np.kron(mask, np.ones((2, 2), np.uint8)))
            (picture.convert("RGB") if name == "hair" else picture).save(place / f"{image:05d}_{name}.png")


def misspelt(root: Path, count: int) -> None:
    parts(root, count, "CelebAMaskHQ-mask-anno")


def merged(root: Path, count: int, with_palette: bool = False) -> None:
    (root / "CelebAMask-HQ-mask").mkdir()
    for image in range(count):
        picture = Image.fromarray(np.kron(NINETEEN, np.ones((2, 2), np.uint8)))
        if with_palette:
            picture.putpalette([value for k in range(256) for value in (255 - k, k, 3)])
        picture.save(root / "CelebAMask-HQ-mask" / f"{image}.png")


def palette(root: Path, count: int) -> None:
    merged(root, count, with_palette=True)


def zero(root: Path, count: int, background: int = 0) -> None:
    (root / "CelebA-HQ-segmask").mkdir()
    for image in range(count):
        labels = np.kron(THREE, np.ones((2, 2), np.uint8)).astype(np.float64)
        labels[labels == 0] = background
        np.save(root / "CelebA-HQ-segmask" / f"{image:05d}_mask.npy", labels)


def void(root: Path, count: int) -> None:
    zero(root, count, background=255)


def write_split(file: Path, train: list[int], val: list[int], test: list[int]) -> Path:
    names = {"train": train, "val": val, "test": test}
    file.write_text(json.dumps({part: [f"{i}.jpg" for i in images] for part, images in names.items()}))
    return file
