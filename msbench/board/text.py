"""Numbers and quantities as text. A true minus sign and narrow no-break spaces, so that columns align."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

MINUS: Final = "\u2212"
THIN: Final = "\u202f"
GAP: Final = "\u2013"
"""Stands where there is nothing to show; always with a reason beside it or in the legend."""

_SUPERSCRIPT: Final = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_URL: Final = re.compile(r"https?://[^\s<>\"')\]]+")
_ARXIV: Final = re.compile(r"arxiv[:\s]\s*(\d{4}\.\d{4,5})", re.IGNORECASE)
_DOI: Final = re.compile(r"\b(10\.\d{4,9}/[^\s<>\"']+[^\s<>\"'.,;)])")


def number(value: float, decimals: int) -> str:
    """Fixed decimals, true minus sign; a rounded zero has no sign."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def signed(value: float, decimals: int = 1) -> str:
    """Like `number`, with a plus sign for positive values."""
    text = number(value, decimals)
    return text if text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def decimals_for(values: Iterable[float]) -> int:
    """Decimals that give a column about four significant digits at its greatest value."""
    greatest = max((abs(value) for value in values), default=0.0)
    return 1 if greatest >= 100 else 2 if greatest >= 10 else 3 if greatest >= 1 else 4


def percent(share: float, decimals: int = 1) -> str:
    """A share in [0, 1] as percent."""
    return f"{number(100 * share, decimals)}{THIN}%"


def level(share: float) -> str:
    """A sparsity that was asked for as percent: with one decimal where it needs one, as in 30 and 48.7 percent."""
    return percent(share, 0 if abs(share * 100 - round(share * 100)) < 0.05 else 1)


def points(share: float, decimals: int = 1) -> str:
    """A difference of two shares in percentage points, signed."""
    return f"{signed(100 * share, decimals)}{THIN}pt"


def times(ratio: float) -> str:
    """A ratio such as a speed-up."""
    return f"{number(ratio, 2 if ratio < 100 else 0)}\u00d7"


def count(value: float) -> str:
    """A whole number in groups of three digits."""
    return f"{round(value):,}".replace(",", THIN)


def amount(value: float) -> str:
    """A large count with a metric prefix: 11.2 M."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{THIN}{prefix}"
    return count(value)


def size(value: float) -> str:
    """Bytes with a binary prefix."""
    for limit, prefix in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= limit:
            return f"{value / limit:.3g}{THIN}{prefix}"
    return f"{round(value)}{THIN}B"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, three digits at most."""
    if seconds < 120:
        return f"{seconds:.3g}{THIN}s"
    if seconds < 7200:
        return f"{seconds / 60:.3g}{THIN}min"
    return f"{seconds / 3600:.3g}{THIN}h"


def milliseconds(seconds: float) -> str:
    """A latency in milliseconds."""
    return f"{seconds * 1000:.3g}{THIN}ms"


def scientific(value: float) -> str:
    """One significant decimal and a power of ten; an exact zero stays 0."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.replace('-', MINUS)}\u00b710{str(int(exponent)).translate(_SUPERSCRIPT)}"


def moment(created: str) -> str:
    """An ISO 8601 time to the minute, as it stands when it is not one."""
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return created


def seeds(values: Iterable[int]) -> str:
    """Seeds in order: "0-4" for a run of three or more, "0, 7" otherwise."""
    ordered = sorted(set(values))
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}{GAP}{ordered[-1]}"
    return ", ".join(map(str, ordered))


def words(items: Iterable[str]) -> str:
    """An English list: a, b and c."""
    parts = list(items)
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def plural(n: int, noun: str) -> str:
    """`n` and its noun, with an s unless n is 1."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def paper_link(citation: str) -> str:
    """Where a citation can be read: its http(s) address, arXiv number or DOI; empty when it has none."""
    if found := _URL.search(citation):
        return found[0].rstrip(".,;")
    if found := _ARXIV.search(citation):
        return f"https://arxiv.org/abs/{found[1]}"
    if found := _DOI.search(citation):
        return f"https://doi.org/{found[1]}"
    return ""
