"""The reference of plugin classes: what each is and what it can be told."""

from __future__ import annotations

import dataclasses
from typing import Any

from msbench.docsgen.markdown import described, table, type_name


def reference() -> str:
    """A section for each kind, a sub-section for each built-in class."""
    from msbench.plugins import load_plugins

    sections = []
    for kind, components in load_plugins().components.items():
        sections.append(f"## {_plural(kind)}\n")
        classes = sorted({c.cls for c in components.values() if c.plugin.startswith("msbench:")}, key=_name)
        sections += [_section(cls) for cls in classes]
    return "\n".join(sections)


def _name(cls: Any) -> str:
    return str(cls.name)


def _plural(kind: str) -> str:
    return "Criteria" if kind == "criterion" else f"{kind.capitalize()}s"


def _section(cls: Any) -> str:
    from msbench.plugins import field_types

    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    text, entries = described(cls, [field.name for field in fields])
    hints = field_types(cls)
    rows = [
        (f"`{field.name}`", type_name(hints[field.name]), f"`{_default(field)}`", entries.get(field.name, ""))
        for field in fields
    ]
    lines = [f"### `{cls.name}`\n", text + "\n", table(["parameter", "type", "default", "what"], rows)]
    for name, given in getattr(cls, "variants", {}).items():
        shown = ", ".join(f"`{key}={value}`" for key, value in given.items())
        lines.append(f"* variant `{name}`: {shown or 'the defaults'}")
    if getattr(cls, "paper", ""):
        lines.append(f"\nPaper: {cls.paper}\n")
    return "\n".join(filter(None, lines)) + "\n"


def _default(field: Any) -> str:
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    return value if isinstance(value, str) and value else repr(value)
