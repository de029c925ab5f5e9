"""One point of the checklist, judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from msbench.board.text import plural, words

Result = Literal["met", "not met", "not applicable"]
NAMED: Final = 3
"""Offenders that a line names; the rest is counted."""


@dataclass(frozen=True)
class Point:
    """What a board should meet (`title`), whether it does, and why, with numbers."""

    title: str
    result: Result
    why: str


def met(title: str, why: str = "") -> Point:
    """A point that is met."""
    return Point(title, "met", why)


def not_applicable(title: str, why: str) -> Point:
    """A point that this board cannot meet or miss."""
    return Point(title, "not applicable", why)


def unless(wrong: bool, title: str, why_not: str, why: str = "") -> Point:
    """Not met if `wrong`, met otherwise."""
    return Point(title, "not met", why_not) if wrong else Point(title, "met", why)


def every(title: str, noun: str, total: int, offenders: Iterable[str], wrong: str) -> Point:
    """Met when none of `total` things offends; names the first offenders. Not applicable to nothing."""
    found = list(offenders)
    if total == 0:
        return not_applicable(title, f"there is no {noun}")
    named = sorted(set(found))
    listed = words(named) if len(named) <= NAMED else f"{', '.join(named[:NAMED])} and {len(named) - NAMED} more"
    return unless(bool(found), title, f"{len(found)} of {plural(total, noun)} {wrong}: {listed}", plural(total, noun))
