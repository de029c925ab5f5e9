"""Which image is in which part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msbench.api import Part, UserError

from ..pixels import shuffled

SPLITS: Final = ("celeba", "random", "json")
MAPPING: Final = "CelebA-HQ-to-CelebA-mapping.txt"
JSON: Final = "celebA_datasplit.json"
_VALIDATION_FROM, _TEST_FROM = 162_770, 182_637
"""First of CelebA's own numbers (from 0) in its validation and test parts."""

_SHARES: Final = (0.7, 0.15)
_BATCH: Final = 32

Split = Mapping[Part, Sequence[int]]


def by_celeba(numbers: Sequence[int], file: Path) -> Split:
    """CelebA's official partition, by the number that an image has there."""
    if not file.is_file():
        raise UserError(f"{file}: file is missing; copy it from the archive, or say data.split=random")
    original: dict[int, int] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        fields = line.split()
        if fields and not re.fullmatch(r"[0-9]{1,9}\s+[0-9]{1,9}(\s.*)?", line.strip()):
            raise UserError(f"{file}: {line.strip()[:80]!r} is not `idx orig_idx orig_file`; copy it again")
        if fields:
            original[int(fields[0])] = int(fields[1])
    parts: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
    for number in numbers:
        if number not in original:
            raise UserError(f"{file}: no line for image {number}; copy it again")
        there = original[number]
        parts["train" if there < _VALIDATION_FROM else "validation" if there < _TEST_FROM else "test"].append(number)
    return parts


def at_random(numbers: Sequence[int]) -> Split:
    """70, 15 and 15 per cent, always the same."""
    order = [int(name) for name in shuffled((str(number) for number in numbers), "celebamask_hq")]
    train = round(_SHARES[0] * len(order))
    validation = train + round(_SHARES[1] * len(order))
    return {
        "train": sorted(order[:train]),
        "validation": sorted(order[train:validation]),
        "test": sorted(order[validation:]),
    }


def by_json(numbers: Sequence[int], file: Path) -> Split:
    """Lists of `<i>.jpg` under train, val and test, in the file's order."""
    known = set(numbers)
    if not file.is_file():
        raise UserError(f"data.split_file: {file} is missing; name a JSON file with lists train, val and test")
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        parts: dict[Part, list[int]] = {}
        for part, key in (("train", "train"), ("validation", "val"), ("test", "test")):
            parts[part] = [int(str(name).removesuffix(".jpg")) for name in plain[key]]  # type: ignore[index]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: not lists of images under train, val and test ({error}); correct it") from error
    everything = [number for part in parts.values() for number in part]
    if len(set(everything)) != len(everything):
        raise UserError(f"{file}: an image is named twice; correct it")
    for number in everything:
        if number not in known:
            raise UserError(f"{file}: names {number}.jpg, which is not among the images; copy the images again")
    return parts


def of_less_is_more(split: Split) -> Split:
    """What that paper's loader reads: the first third of every list, and whole batches of 32 outside of training."""
    thirds = {part: numbers[: len(numbers) // 3] for part, numbers in split.items()}
    return {
        part: numbers if part == "train" else numbers[: len(numbers) // _BATCH * _BATCH]
        for part, numbers in thirds.items()
    }
