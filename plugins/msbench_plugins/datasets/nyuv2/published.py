"""Files that NYU and others publish: name, address, size, checksum; and the lists of the official split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from msbench.api import UserError

from .files import read_mat


@dataclass(frozen=True)
class Published:
    """One file and where it comes from."""

    file: str
    address: str
    bytes: int
    md5: str

    def __str__(self) -> str:
        return f"{self.file} from {self.address} ({self.bytes:,} bytes, md5 {self.md5})"


LABELED: Final = Published(
    "nyu_depth_v2_labeled.mat",
    "http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat",
    2_972_037_809,
    "520609c519fba3ba5ac58c8fefcc3530",
)
SPLITS: Final = Published(
    "splits.mat",
    "http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat",
    2_626,
    "08e3c3aea27130ac7c01ffd739a4535f",
)
MAPPING: Final = Published(
    "classMapping40.mat",
    "github.com/ankurhanda/nyuv2-meta-data",
    10_474,
    "e377c88729dd63af81205ac9a8634a19",
)


def read_splits(file: Path) -> tuple[list[int], list[int]]:
    """Training and test rows, counted from 0 (the file counts from 1); UserError where they overlap or leave gaps."""
    with np.errstate(invalid="ignore"):  # what is no number becomes one that is none of the list's
        train, test = (sorted(read_mat(file, key).ravel().astype(np.int64)) for key in ("trainNdxs", "testNdxs"))
    together = sorted([*train, *test])
    if together != list(range(1, len(together) + 1)):
        raise UserError(f"{file}: trainNdxs and testNdxs are not a partition of 1, 2, 3 ...; get {SPLITS}")
    return [int(index) - 1 for index in train], [int(index) - 1 for index in test]
