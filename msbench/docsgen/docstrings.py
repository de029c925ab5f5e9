"""For mkdocstrings: the entries `name: text` of a docstring are shown as a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import griffe

from msbench.docsgen.markdown import entries


class Entries(griffe.Extension):
    """Rewrites the docstrings of classes and functions before they are shown."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Entries of a class name its attributes."""
        _rewrite(cls, list(cls.members))

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Entries of a function name its parameters."""
        _rewrite(func, [parameter.name for parameter in func.parameters])


def _rewrite(found: griffe.Class | griffe.Function, names: Sequence[str]) -> None:
    if found.docstring is not None:
        found.docstring.value = as_list(found.docstring.value, names)


def as_list(text: str, names: Sequence[str]) -> str:
    """A docstring with the entries of these names as a list at its end."""
    rest, found = entries(text, names)
    return "\n\n".join([rest, "\n".join(f"* `{name}`: {what}" for name, what in found.items())]).strip()
