"""Numbers of a figure's table: plain, units in the header, so that they also make the figure's CSV."""

from __future__ import annotations

from collections.abc import Iterable

from msbench.board import text
from msbench.board.statistics import Summary

SPREAD = ("Standard deviation", "Seeds")
"""Header of what `spread` prints."""


def summary(found: Summary | None) -> list[str]:
    """Mean, standard deviation and number of seeds."""
    if found is None:
        return [text.GAP] * 3
    decimals = text.decimals_for([found.mean])
    return [text.number(found.mean, decimals), *spread(found, decimals)]


def spread(found: Summary, decimals: int) -> list[str]:
    """Standard deviation and number of seeds."""
    return [text.number(found.sd, decimals) if found.sd is not None else text.GAP, str(found.n)]


def percent(share: float) -> str:
    """A share as percent without its sign."""
    return text.number(100 * share, 2)


def shortly(values: Iterable[float]) -> list[str]:
    """Four significant digits each."""
    return [f"{value:.4g}".replace("-", text.MINUS) for value in values]
