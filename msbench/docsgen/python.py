"""The reference of what Python code imports: directives that mkdocstrings fills in."""

from __future__ import annotations

from types import ModuleType


def names() -> list[str]:
    """Every public name as it is imported: of msbench itself, then of msbench.api and msbench.conformance."""
    import msbench
    from msbench import api, conformance

    return [*_public(msbench), *_public(api), *_public(conformance)]


def reference() -> str:
    """A directive for each name."""
    return "\n".join(f"::: {name}\n" for name in names())


def _public(module: ModuleType) -> list[str]:
    return [f"{module.__name__}.{name}" for name in sorted(module.__all__, key=str.lower) if name != "__version__"]
