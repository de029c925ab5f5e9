"""Puts what is generated into the pages that ask for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from msbench.docsgen import catalogue, commandline, configuration, hooks, python, records
from msbench.errors import UserError, nearest

MARK: Final = re.compile(r"^<!-- generated: ([\w ]+) -->$", re.MULTILINE)
GENERATORS: Final[MappingProxyType[str, Callable[[], str]]] = MappingProxyType(
    {
        "commands": commandline.reference,
        "configuration": configuration.reference,
        "hooks": hooks.reference,
        "record": records.reference,
        "python": python.reference,
        "plugin classes": catalogue.reference,
    }
)
"""Name to what writes the Markdown of it."""


def expand(markdown: str) -> str:
    """A page with everything generated in its place; UserError for a name that nothing generates."""
    return MARK.sub(lambda found: _generate(found[1]).strip(), markdown)


def _generate(name: str) -> str:
    if name not in GENERATORS:
        raise UserError(f"<!-- generated: {name} -->: {nearest(name, GENERATORS)}")
    return GENERATORS[name]()
