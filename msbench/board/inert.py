"""Text of strangers, made harmless for a page or a terminal."""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line ends, line separators, what turns the direction of a text, half characters."""
_ESCAPED: Final = re.compile(
    r"\\u(?:00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|061c|200[ef]|202[89a-e]|206[6-9])",
    re.IGNORECASE,
)
"""The same as JSON inside a page has them."""


def inert(html: str) -> str:
    """The page with U+FFFD in place of each such character, plain or escaped.

    They can make a name read backwards, or a terminal's text overwrite another.
    """
    return _ESCAPED.sub(r"\\ufffd", _CONTROLS.sub("\ufffd", html))


def line(text: str, longest: int = 300) -> str:
    """A text as one short line for a terminal."""
    plain = " ".join(_CONTROLS.sub("\ufffd", text).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
