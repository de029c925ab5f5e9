"""Markdown from Python objects: tables, types, and the fields that a docstring describes."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Sequence
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Final, Literal, Union

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

WORDS: Final = MappingProxyType(
    {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "`true` or `false`",
        dict: "mapping",
        NoneType: "nothing",
        Any: "anything",
    }
)


def cell(text: str) -> str:
    """Text that may stand in a table: one line, no bar."""
    return " ".join(text.replace("|", r"\|").split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty without rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) + "\n"


def entries(text: str, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A docstring without its entries `name: text` (or `a, b: text`), and those entries by name.

    An entry begins a line or a sentence, and ends with the next one or the paragraph.
    """
    if not names:
        return text, {}
    name = rf"(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})"
    begin = rf"{name}(?:\s\[[^]]*])?(?:, {name})*: "
    end = rf"\n\n|\.\s+(?:{begin}|Raises )|\n{begin}"
    entry = re.compile(rf"(?:(?<=\n)|(?<=\. ))({begin})((?:(?!{end}).)+\.?)", re.DOTALL)
    found: dict[str, str] = {}
    for listed, what in entry.findall(text):
        shape = "".join(re.findall(r"\s(\[[^]]*])", listed))
        for one in re.findall(name, listed.replace(shape, "")):
            found.setdefault(one, " ".join(f"{shape} {what}".split()))
    return re.sub(r"\n\s*\n\s*", "\n\n", entry.sub("", text)).strip(), found


def described(cls: type, fields: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A class's docstring without its fields' entries, and those; a base class's count where the class has none."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= entries(inspect.cleandoc(base.__doc__ or ""), fields)[1]
    return entries(inspect.cleandoc(cls.__doc__ or ""), fields)[0], found


def type_name(hint: Any) -> str:
    """A type as people read it: `number, above 0`, or `matched, share or natural`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        text = ", ".join([type_name(arguments[0]), *(word for part in arguments[1:] for word in _bounds(part))])
    elif origin is Literal:
        text = _either([f"`{value}`" for value in arguments])
    elif origin in (Union, types.UnionType):
        text = _either([type_name(part) for part in arguments])
    elif origin in (tuple, list, frozenset) and arguments:
        text = f"list of {type_name(arguments[0])}"
    elif origin is dict:
        text = f"{type_name(arguments[0])} to {type_name(arguments[1])}"
    else:
        text = WORDS.get(hint) or str(getattr(hint, "__name__", hint))
    return text


def _either(parts: Sequence[str]) -> str:
    *others, last = parts
    return f"{', '.join(others)} or {last}" if others else last


def _bounds(part: Any) -> list[str]:
    """The bounds of a number in words; what is no bound says nothing."""
    bounds = part if isinstance(part, GroupedMetadata) else [part]
    words = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))
    return [
        f"{word} {getattr(bound, field):g}"
        for bound in bounds
        for kind, field, word in words
        if isinstance(bound, kind)
    ]
