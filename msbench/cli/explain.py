"""`msbench run … --explain`: what each run would do, with which parameters and rulings."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from msbench.plugins import Plugins
    from msbench.runs.plan import PlannedRun


def explain_plan(console: Console, plugins: Plugins, plan: Iterable[PlannedRun]) -> None:
    """Print each sparsifier of the plan once: its idea, parameters, rulings and paper."""
    from msbench.config import build_part

    seen: set[str] = set()
    for run in plan:
        config = run.config.sparsifier
        if config.name in seen:
            continue
        seen.add(config.name)
        component = plugins.get("sparsifier", config.base)
        sparsifier = build_part(component, config.params)
        console.print(f"\n{config.name}", style="bold", highlight=False, markup=False)
        console.print(_idea(component.cls), highlight=False, markup=False)
        if config.params:
            given = ", ".join(f"{key}={value}" for key, value in config.params.items())
            console.print(f"Parameters: {given}", highlight=False, markup=False, soft_wrap=True)
        for note in sparsifier.notes():
            console.print(f"Ruling: {note}", highlight=False, markup=False, soft_wrap=True)
        if component.cls.paper:  # type: ignore[attr-defined]
            console.print(f"Paper: {component.cls.paper}", highlight=False, markup=False, soft_wrap=True)  # type: ignore[attr-defined]


def _idea(cls: type) -> str:
    """The docstring without the description of the fields."""
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    fields = set(getattr(cls, "__dataclass_fields__", {}))
    return "\n\n".join(p for p in paragraphs if p.split(":")[0].split(",")[0].strip() not in fields)
