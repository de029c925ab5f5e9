"""The pages' copies of pictures: a quarter of the size, with label colours as sharp as before."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from PIL import Image

from msbench.board.site.ledger import Writer
from msbench.board.site.render import processors

QUALITY: Final = 75
"""Of lossy WebP: a sheet of predictions has 70 kB in place of 270, and takes 30 ms."""
METHOD: Final = 2
"""Effort, 0 to 6: more takes twice as long for a twentieth of the size."""
LARGEST: Final = 40_000_000
"""Pixels of a picture that is read."""


def write_pictures(writer: Writer, pictures: Mapping[str, Path]) -> None:
    """Write each picture to its path, smaller; it is taken over while its file has the same size and time of change."""
    stamps = {path: source.stat() for path, source in pictures.items()}
    digests = {path: f"{status.st_size} {status.st_mtime_ns}" for path, status in stamps.items()}
    missing = [path for path in pictures if not writer.take(path, digests[path])]
    places = [Path(writer.place(path)) for path in missing]
    with ThreadPoolExecutor(processors()) as pool:  # Pillow works outside Python's lock
        list(pool.map(lambda path, place: place.write_bytes(smaller(pictures[path])), missing, places))
    for path in missing:
        writer.note(path, digests[path])


def smaller(source: Path) -> bytes:
    """A PNG file as WebP; what is no picture of a sane size is passed on as it is, and browsers show what they can."""
    raw = source.read_bytes()
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG",)) as picture:
            if picture.width * picture.height > LARGEST:
                return raw
            found = io.BytesIO()
            picture.convert("RGB").save(found, "WEBP", quality=QUALITY, method=METHOD)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return raw
    return found.getvalue()
