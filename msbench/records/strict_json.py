"""JSON that may come from a stranger: bounded, unambiguous, with finite numbers only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

LARGEST = 16 * 1024 * 1024
"""Bytes. A record of a network with a thousand layers has less than one of these megabytes."""
_NUMERAL = 400
"""Characters of a number: no double or count needs more."""


class JsonError(ValueError):
    """What is wrong with a text that should be JSON, in a few words."""


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """The value in a file. Raises JsonError where it is no such JSON, OSError where there is no such file."""
    with path.open("rb") as file:
        raw = file.read(largest + 1)
    if len(raw) > largest:
        raise JsonError(f"larger than {largest:,} bytes")
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """The value of a text in UTF-8; JsonError where a key stands twice, a number is none, or it is nested too deep."""
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refused,
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error}") from error
    except RecursionError:
        raise JsonError("nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonError(f"key {twice[:80]!r} stands twice")
    return found


def _refused(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise JsonError(f"{text[:40]} is too large a number")
    return value


def _integer(text: str) -> int:
    if len(text) > _NUMERAL:
        raise JsonError(f"{text[:40]}… is too long a number")
    return int(text)
