"""The size of a picture, so that a page keeps its place while it loads."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG file by its header; None for what is no picture."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
