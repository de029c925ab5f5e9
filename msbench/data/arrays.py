"""Arrays written row by row as safetensors files, so that they never have to lie in memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

TENSOR: Final = "data"
"""Name of the one tensor of a file."""

HEADER: Final = 512
"""Bytes before the rows: a length (8 bytes) and the header, padded with blanks as the format allows."""

CODES: Final = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}
"""The format's names of types."""

Layout = tuple[str, tuple[int, ...]]
"""Type (by its name in the format) and shape of one row."""


def layout_of(row: Tensor) -> Layout:
    """Type and shape of a row; KeyError for a type that the format has no name for here."""
    return CODES[row.dtype], tuple(row.shape)


class ArrayFile:
    """One array [N, ...] on disk that grows row by row; the file is valid once it is closed.

    rows: how many rows of an unfinished file are kept; what lies behind them is cut off.
    Raises OSError where the disk is full or the folder cannot be written, and ValueError when the file has fewer rows.
    """

    def __init__(self, path: Path, layout: Layout, rows: int = 0) -> None:
        code, shape = layout
        self._code, self._shape, self.rows = code, shape, rows
        self._stride = torch.Size(shape).numel() * _ITEM_SIZES[code]
        self._file = path.open("r+b" if rows else "wb")
        end = HEADER + rows * self._stride
        if rows and os.fstat(self._file.fileno()).st_size < end:
            self._file.close()
            raise ValueError(f"{path} has fewer than {rows} rows")
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, row: Tensor) -> None:
        """Add one row of the array's type and shape."""
        self._file.write(row.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self.rows += 1

    def sync(self) -> None:
        """Bring what was appended to the disk itself."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the header with the true number of rows."""
        content = {
            "dtype": self._code,
            "shape": [self.rows, *self._shape],
            "data_offsets": [0, self.rows * self._stride],
        }
        header = json.dumps({TENSOR: content}).encode().ljust(HEADER - 8)
        with self._file:
            self._file.seek(0)
            self._file.write(len(header).to_bytes(8, "little") + header)
            self.sync()

    def abandon(self) -> None:
        """Close without a header, for a later ArrayFile to go on."""
        self._file.close()


_ITEM_SIZES: Final = {code: dtype.itemsize for dtype, code in CODES.items()}


def row_bytes(layout: Layout) -> int:
    """Bytes of one row."""
    code, shape = layout
    return torch.Size(shape).numel() * _ITEM_SIZES[code]
