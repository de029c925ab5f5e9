"""Where the pages lie, and text from plugins made safe for them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from markupsafe import Markup, escape

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,80}")
_CODE: Final = re.compile(r"`([^`\n]+)`")


def file_name(name: str) -> str:
    """`name` where it can be a file name on any system; else a readable one with a digest."""
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return f"{readable or 'name'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def method_of(name: str) -> str:
    """The method that a run's sparsifier belongs to: its name without parameters in brackets."""
    return name.partition("[")[0].strip() or name


def method_href(name: str) -> str:
    """Path of the page of a sparsifier as a record names it."""
    return f"methods/{file_name(method_of(name))}.html"


def dataset_href(name: str) -> str:
    """Path of a dataset's page."""
    return f"datasets/{file_name(name)}.html"


def plugin_href(package: str) -> str:
    """Path of a plugin package's page."""
    return f"plugins/{file_name(package)}.html"


def prose(text: str) -> Markup:
    """Plain text, escaped, with what stands in backticks as code."""
    return Markup("").join(_inline(text))


def distinct(items: Iterable[str]) -> list[str]:
    """Items in the order they come, each once, without empty ones."""
    return list(dict.fromkeys(item for item in items if item))


def _inline(text: str) -> Iterator[Markup]:
    for index, part in enumerate(_CODE.split(text)):
        yield Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
