"""The reference of a record, from its schema."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from msbench.docsgen.markdown import table, type_name
from msbench.records.record import Record


def parts(model: type[BaseModel] = Record) -> dict[type[BaseModel], str]:
    """Every part of a record, by the place where it stands (`TASK` and `METRIC` stand for names)."""
    found = {model: ""}
    queue = [(model, "")]
    while queue:
        cls, where = queue.pop(0)
        for name, field in cls.model_fields.items():
            for inner, below in _inner(field.annotation, f"{where}{name}"):
                if inner not in found:
                    found[inner] = below
                    queue.append((inner, f"{below}."))
    return found


def reference() -> str:
    """A table for each part."""
    sections = []
    for model, where in parts().items():
        text = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0]
        rows = [
            (f"`{name}`", _kind(field.annotation), field.description or "")
            for name, field in model.model_fields.items()
        ]
        title = f"`{where}`" if where else "The record"
        sections.append(f"## {title}\n\n{text}\n\n{table(['key', 'type', 'what'], rows)}")
    return "\n".join(sections)


def _kind(hint: Any) -> str:
    return type_name(hint).replace("Part", "").replace(" or nothing", ", or null")


def _inner(hint: Any, where: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models inside a type: in a list, a mapping or an alternative."""
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        yield hint, where
    for argument in typing.get_args(hint):
        yield from _inner(argument, where)
