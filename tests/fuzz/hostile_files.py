"""Files that a data folder should not have: pictures and arrays that are valid but wrong, and others that lie."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any, Final

import h5py
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image
from scipy.io import savemat

from tests.fuzz.mutations import mutated

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
Chunk = tuple[bytes, bytes]


def chunks(png: bytes) -> list[Chunk]:
    """Kind and content of each chunk of a PNG."""
    found, at = [], len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def png_of(found: list[Chunk]) -> bytes:
    """A PNG of these chunks, with checksums that are right."""
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in found
    )
    return SIGNATURE + b"".join(parts)


def mended(png: bytes) -> SearchStrategy[bytes]:
    """A PNG one chunk of which was changed before its checksum was made: what gets past the first look."""
    found = chunks(png)

    def put(place: int) -> SearchStrategy[bytes]:
        kind, data = found[place]
        content = mutated(data) if kind != b"IDAT" else mutated(zlib.decompress(data)).map(zlib.compress)
        return content.map(lambda new: png_of([*found[:place], (kind, new), *found[place + 1 :]]))

    extra = st.tuples(st.sampled_from([b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"zTXt", b"acTL", b"fcTL", b"IDAT"]),
                      st.binary(max_size=40))  # fmt: skip
    added = extra.map(lambda chunk: png_of([found[0], chunk, *found[1:]]))
    return st.integers(0, len(found) - 2).flatmap(put) | added


def bomb(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of a few bytes that says that it is so large."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return png_of([(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")])


def picture(mode: str, size: tuple[int, int] = (32, 24), form: str = "PNG", **options: Any) -> bytes:
    """A whole picture of this mode."""
    stream = io.BytesIO()
    Image.new(mode, size, 3 if len(mode) < 3 or ";" in mode else (3,) * len(mode)).save(stream, form, **options)
    return stream.getvalue()


def array(values: Any) -> bytes:
    """A .npy file."""
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def promise(shape: str, kind: str = "<f4", order: str = "False", content: bytes = bytes(64)) -> bytes:
    """A .npy file whose header says what is given here, whatever follows."""
    header = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("../../outside.npy", array(np.zeros(3)))
    return stream.getvalue()


def matlab(**values: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, values)
    return stream.getvalue()


def cells(rows: int) -> bytes:
    """A .mat file with a variable `depth` that says that it holds so many cells."""
    raw = matlab(depth=np.zeros((1, 1)))
    head = struct.pack("<2I", 6, 8) + b"\x06"
    assert head in raw
    return raw.replace(head, head[:-1] + b"\x01").replace(
        struct.pack("<4I", 5, 8, 1, 1), struct.pack("<4I", 5, 8, rows, 1)
    )


def hdf5(**values: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, value in values.items():
            file[name] = value
    return stream.getvalue()


def bombs() -> dict[str, bytes]:
    """Small files that ask for a great deal of memory."""
    return {
        "png 30000x30000": bomb(30_000, 30_000),
        "png 12000x12000": bomb(12_000, 12_000),
        "png 65535x2000 of 16 bits": bomb(65_535, 2_000, 16),
        "png 2147483647x2147483647": bomb(2**31 - 1, 2**31 - 1),
        "npy 10^12": promise("(1000000, 1000000)"),
        "npy 10^9": promise("(30000, 30000)"),
        "npy that wraps around": promise("(4294967296, 4294967296)"),
        "npy of less than nothing": promise("(-1, 3)"),
        "npy of minus times minus": promise("(-24, -32)"),
        "npy of long items": promise("(24, 32)", "<U999999999"),
    }


def others() -> dict[str, bytes]:
    """Whole files of another kind than expected."""
    grid = np.indices((24, 32)).sum(0)
    modes = {f"png {mode}": picture(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    arrays = {
        f"npy {kind}": array(np.nan_to_num(grid.astype(kind)))
        for kind in ("bool", "int8", "uint8", "int64", "uint64", "float16", "float64", "complex64", "U3", "M8[s]")
    }
    return {
        **modes,
        **arrays,
        "nothing": b"",
        "zeros": bytes(300),
        "text": b"no picture at all\n",
        "png of one pixel": picture("RGB", (1, 1)),
        "png of another size": picture("L", (31, 24)),
        "png of one line": picture("L", (32, 1)),
        "jpeg": picture("RGB", form="JPEG"),
        "jpeg L": picture("L", form="JPEG"),
        "jpeg CMYK": picture("CMYK", form="JPEG"),
        "gif": picture("P", form="GIF"),
        "bmp": picture("RGB", form="BMP"),
        "tiff": picture("RGB", form="TIFF"),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\nshowpage\n",
        "npy of NaN": array(np.full((24, 32), np.nan)),
        "npy of three NaN": array(np.full((24, 32, 3), np.nan, np.float32)),
        "npy infinite": array(np.full((24, 32, 1), np.inf, np.float32)),
        "npy of huge values": array(np.full((24, 32), 1e300)),
        "npy of no pixels": array(np.zeros((0, 0, 3))),
        "npy of no rows": array(np.zeros((0, 32))),
        "npy of one number": array(np.float64(3)),
        "npy of many dimensions": array(np.zeros((1,) * 20)),
        "npy of records": array(np.zeros((24, 32), [("x", "<f4"), ("y", "<i2")])),
        "npy of objects": promise("(24, 32)", "|O", content=b"cos\nsystem\n(S'touch outside'\ntR."),
        "npy of column order": promise("(24, 32)", order="True", content=bytes(24 * 32 * 4)),
        "npy of a deep header": promise("(" * 90 + ")" * 90),
        "npy of a long sign": promise("(" + "-" * 4000 + "1,)"),
        "npz": archive(),
        "mat": matlab(depth=grid, segmentation=grid, mapClass=grid, trainNdxs=grid),
        "mat of cells": matlab(depth=np.array([[1, "a"]], object), trainNdxs=np.array([["x"]], object)),
        "mat of text": matlab(depth="deep", segmentation="none", mapClass="x", trainNdxs="a"),
        "mat of NaN": matlab(depth=grid * np.nan, segmentation=grid * np.nan, mapClass=grid * np.nan),
        "mat of structures": matlab(depth={"a": {"b": 1}}, segmentation={"a": 1}),
        "hdf5": hdf5(depth=grid, images=np.zeros((6, 3, 2, 2))),
        "json": json.dumps({"train": [["a"]], "test": 3}).encode(),
        "json of many brackets": b"[" * 100_000,
        "numbers with many digits": b"9" * 5000 + b" " + b"9" * 5000,
        "digits that are no numbers": "²\n² ³ x\n".encode(),
        "a long line": b"x" * 200_000,
        "names that lead out": json.dumps({k: [[f"../../{k}.npy"] * 5] for k in ("train", "test")}).encode(),
        "names that cannot be": json.dumps({k: [[f"{k}\0b"] * 5] for k in ("train", "test")}).encode(),
        "names that are too long": json.dumps({k: [[k + "y" * 5000] * 5] for k in ("train", "test")}).encode(),
    }  # fmt: skip
