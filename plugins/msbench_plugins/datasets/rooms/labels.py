"""NYU-40 and NYU-13 label spaces and their colours."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VOID: Final = 0
"""Stored label of pixels that belong to no class; 255 in a batch."""

NYU40: Final[tuple[str, ...]] = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat",
    "clothes", "ceiling", "books", "refridgerator", "television", "paper", "towel", "shower curtain", "box",
    "whiteboard", "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure",
    "otherfurniture", "otherprop",
)  # fmt: skip
"""Names of the labels 1..40, spelt as in the official class map (Gupta et al., 2013)."""

NYU13: Final[tuple[str, ...]] = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv",
    "wall", "window",
)  # fmt: skip
"""Names of the labels 1..13 (Couprie et al., 2013)."""

NYU13_OF_NYU40: Final[tuple[int, ...]] = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
    7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
)  # fmt: skip
"""Official class13Mapping: NYU-13 label of the NYU-40 label at index + 1."""

PALETTE13: Final[tuple[tuple[int, int, int], ...]] = (
    (204, 67, 92), (255, 152, 31), (240, 240, 240), (108, 70, 170), (139, 90, 43), (40, 150, 140),
    (250, 220, 60), (250, 110, 180), (60, 110, 220), (120, 200, 80), (30, 30, 90), (175, 190, 205),
    (90, 220, 250),
)  # fmt: skip


class Nyu40(IntEnum):
    """The NYU-40 labels that rooms are made of."""

    WALL = 1
    FLOOR = 2
    CABINET = 3
    BED = 4
    CHAIR = 5
    SOFA = 6
    TABLE = 7
    DOOR = 8
    WINDOW = 9
    BOOKSHELF = 10
    PICTURE = 11
    DESK = 14
    CURTAIN = 16
    PILLOW = 18
    FLOOR_MAT = 20
    CEILING = 22
    BOOKS = 23
    TELEVISION = 25
    BOX = 29
    NIGHT_STAND = 32
    LAMP = 35
    OTHERPROP = 40
