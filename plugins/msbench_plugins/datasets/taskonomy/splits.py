"""Which view is in which part: whole buildings, so that a part never shows a room of another one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msbench.api import Part, UserError

from ..pixels import shuffled
from .layout import View, view_of

SPLITS: Final = ("tiny", "random", "csv", "json")
CSV, JSON = "train_val_test_tiny.csv", "taskonomy.json"
TINY: Final[Mapping[Part, tuple[str, ...]]] = {
    "train": (
        "hanson", "merom", "klickitat", "onaga", "leonardo", "marstons", "newfields", "pinesdale", "lakeville",
        "cosmos", "benevolence", "pomaria", "tolstoy", "shelbyville", "allensville", "wainscott", "beechwood",
        "coffeen", "stockman", "hiteman", "woodbine", "lindenwood", "forkland", "mifflinburg", "ranchester",
    ),
    "validation": ("wiconisco", "corozal", "collierville", "markleeville", "darden"),
    "test": ("ihlen", "muleshoe", "uvalda", "noxapater", "mcdade"),
}  # fmt: skip
"""The buildings of the official tiny partition."""

_COLUMNS: Final[Mapping[Part, str]] = {"train": "train", "validation": "val", "test": "test"}
_SHARES: Final = (0.7, 0.15)

Split = Mapping[Part, Sequence[View]]


def by_building(views: Iterable[View], buildings: Mapping[Part, Sequence[str]]) -> Split:
    """Views of the buildings that each part has."""
    part_of = {building: part for part, names in buildings.items() for building in names}
    parts: dict[Part, list[View]] = {part: [] for part in buildings}
    for view in views:
        if view.building in part_of:
            parts[part_of[view.building]].append(view)
    return parts


def at_random(views: Sequence[View]) -> Split:
    """70, 15 and 15 per cent of the buildings; of the points, where there are fewer than three buildings."""
    groups: dict[str, list[View]] = {}
    by_point = len({view.building for view in views}) < 3
    for view in views:
        groups.setdefault(f"{view.building} {view.point}" if by_point else view.building, []).append(view)
    order = shuffled(groups, "taskonomy")
    validation = max(1, round(_SHARES[1] * len(order)))
    train = max(1, len(order) - 2 * validation)
    cuts: Mapping[Part, list[str]] = {
        "train": order[:train],
        "validation": order[train : train + validation],
        "test": order[train + validation :],
    }
    return {part: sorted(view for name in names for view in groups[name]) for part, names in cuts.items()}


def read_csv(file: Path) -> Mapping[Part, Sequence[str]]:
    """Buildings of a list `id,train,val,test` of zeros and ones, as the official ones are; any line ends."""
    if not file.is_file():
        raise UserError(f"data.split_file: {file} is missing; name a list with columns id, train, val and test")
    # universal newlines: the official lists end their lines with a lone carriage return
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as a table ({error}); copy it again") from error
    parts: dict[Part, list[str]] = {part: [] for part in _COLUMNS}
    for number, row in enumerate(rows, start=2):
        chosen = [part for part, column in _COLUMNS.items() if (row.get(column) or "").strip() in ("1", "1.0")]
        if len(chosen) > 1 or not row.get("id"):
            raise UserError(f"{file}: line {number} has no id, or is in several parts; correct it")
        for part in chosen:
            parts[part].append(str(row["id"]).strip())
    if not any(parts.values()):
        raise UserError(f"{file}: names no building; expected columns id, train, val, test with 0 or 1 in them")
    named = [name for names in parts.values() for name in names]
    if len(set(named)) != len(named):
        raise UserError(f"{file}: a building is named twice; correct it")
    return parts


def by_json(views: Sequence[View], file: Path) -> Split:
    """AdaShare's list: tuples of paths under train and test; a fifth of the training buildings is for validation."""
    if not file.is_file():
        raise UserError(f"data.split_file: {file} is missing; name AdaShare's taskonomy.json")
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        listed = {part: {view_of(str(row[0])) for row in plain[part]} for part in ("train", "test")}
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise UserError(f"{file}: not lists of files under train and test ({error}); copy it again") from error
    if None in listed["train"] | listed["test"] or listed["train"] & listed["test"]:
        raise UserError(f"{file}: a row names no view, or is in train and in test; copy it again")
    train = [view for view in views if view in listed["train"]]
    buildings = shuffled({view.building for view in train}, "taskonomy")
    held_out = set(buildings[: max(1, round(0.2 * len(buildings)))])
    return {
        "train": [view for view in train if view.building not in held_out],
        "validation": [view for view in train if view.building in held_out],
        "test": [view for view in views if view in listed["test"]],
    }
