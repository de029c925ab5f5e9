"""The reference of hooks, from the specification."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from msbench import hookspecs


def hooks() -> dict[str, Callable[..., Any]]:
    """Every hook by name."""
    return {name: f for name, f in vars(hookspecs).items() if name.startswith("msbench_") and inspect.isfunction(f)}


def signature(function: Callable[..., Any]) -> str:
    """A hook as a plugin writes it: its name, its arguments with their types, what it returns."""
    return f"{function.__name__}{inspect.signature(function)}".replace("'", "")


def reference() -> str:
    """A section for each hook."""
    sections = []
    for name, function in hooks().items():
        text = inspect.cleandoc(function.__doc__ or "")
        sections.append(f"### {name}\n\n```python\ndef {signature(function)}: ...\n```\n\n{text}\n")
    return "\n".join(sections)
