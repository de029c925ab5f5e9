"""Two plain values beside each other, and what is to be said of the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from msbench.records.record import Record


class Check(BaseModel):
    """One claim. ok: None where it could not be checked; `detail` says why, or what was found."""

    model_config = ConfigDict(extra="forbid")

    name: str
    ok: bool | None
    detail: str


Found = Iterator[tuple[bool | None, str]]
"""What is wrong (False), was left out (None) or was found (True), in words."""


def same(what: str, claimed: object, found: object, quiet: bool = False) -> Found:
    if claimed == found:
        yield True, "" if quiet else f"{what} {str(found)[:12]}".strip()
    else:
        yield False, f"{what}: recorded {str(claimed)[:12]!r}, found {str(found)[:12]!r}"


def near(what: str, claimed: float | None, found: float | None, tolerance: float) -> Found:
    if not _close(claimed, found, tolerance):
        yield False, f"{what}: recorded {claimed}, found {found}"


def equal(claimed: Any, found: Any, tolerance: float, where: str = "") -> Found:
    """Every place where two plain values differ."""
    if isinstance(found, Mapping) and isinstance(claimed, Mapping):
        for key in [*found, *(key for key in claimed if key not in found)]:
            place = f"{where}.{key}".strip(".")
            if key in found and key in claimed:
                yield from equal(claimed[key], found[key], tolerance, place)
            else:
                yield False, f"{place}: only {'found' if key in found else 'recorded'}"
    elif not _close(claimed, found, tolerance):
        yield False, f"{where}: recorded {claimed}, found {found}"


def _close(claimed: Any, found: Any, tolerance: float) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (claimed, found))
    if not numbers:
        return bool(claimed == found)
    return abs(claimed - found) <= tolerance * max(abs(claimed), abs(found))


def record_differences(claimed: Record, own: Record) -> Iterator[str]:
    """Where a copy of a record is not the run's own."""
    for _, words in equal(claimed.model_dump(mode="json"), own.model_dump(mode="json"), 0.0):
        yield words
