"""The selection language of `-s`: `name`, `name[param=value]`, lists by comma, `all`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from msbench.compose import parse_override
from msbench.config import BudgetConfig, SparsifierConfig, build_part, validated
from msbench.errors import UserError
from msbench.plugins import Component, Plugins
from msbench.sparsity.criteria import Criterion, CriterionName

MASK = "mask:"
"""`mask:RUN` is short for the criterion `mask[run=RUN]`."""


def split(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    if depth != 0:
        raise UserError(f"-s {text!r}: a bracket is not closed")
    return [part.strip() for part in parts if part.strip()]


def select(
    plugins: Plugins, asked: Iterable[str], shared: Mapping[str, Any], budget: BudgetConfig
) -> tuple[SparsifierConfig, ...]:
    """The sparsifiers asked for, each with all of its parameters, without repetition.

    shared: `sparsifier.KEY=value`, for each chosen sparsifier that has the field; at least one must.
    """
    names = [name for text in asked for name in split(text)]
    expanded = [name for text in names for name in (every(plugins, budget) if text == "all" else [text])]
    chosen: dict[str, SparsifierConfig] = {}
    used: set[str] = set()
    for text in expanded:
        name, given = parse_named(text)
        component = plugins.get("sparsifier", name)
        fields = {f.name for f in dataclasses.fields(component.cls)}
        common = {key: value for key, value in shared.items() if key in fields}
        used |= set(common)
        config = sparsifier_config(component, {**common, **given}, label=text if given else name)
        for criterion in criteria_of(component, config).values():
            build_criterion(plugins, criterion)
        _check_budget(component, config, budget)
        chosen.setdefault(config.name, config)
    for key in set(shared) - used:
        raise UserError(f"unknown key 'sparsifier.{key}': none of {', '.join(chosen)} has it")
    return tuple(chosen.values())


def sparsifier_config(component: Component, params: Mapping[str, Any], label: str) -> SparsifierConfig:
    """A sparsifier by its name or variant: the variant's parameters, then the given ones, then defaults."""
    variant = component.cls.variants.get(component.name, {})  # type: ignore[attr-defined]
    values = validated(component, {**variant, **params}, "sparsifier")
    return SparsifierConfig(name=label, base=component.cls.name, params=values)  # type: ignore[attr-defined]


def criteria_of(component: Component, config: SparsifierConfig) -> dict[str, str]:
    """The fields of a sparsifier that name a criterion, with their values."""
    marked = typing.get_args(CriterionName)[1]
    hints = typing.get_type_hints(component.cls, include_extras=True)
    fields = (f.name for f in dataclasses.fields(component.cls))
    return {name: config.params[name] for name in fields if marked in getattr(hints[name], "__metadata__", ())}


def build_criterion(plugins: Plugins, text: str) -> Criterion:
    """A criterion from `name`, `name[param=value]` or `mask:RUN`; UserError where there is none."""
    name, params = ("mask", {"run": text.removeprefix(MASK)}) if text.startswith(MASK) else parse_named(text)
    component = plugins.get("criterion", name)
    criterion: Criterion = build_part(component, validated(component, params, f"criterion {name}"))
    return criterion


def every(plugins: Plugins, budget: BudgetConfig) -> list[str]:
    """What `all` stands for: each class's variants, or its name; under a natural budget those that find a level."""
    names: list[str] = []
    for cls in dict.fromkeys(plugins.classes("sparsifier").values()):
        finds: bool = cls.finds_sparsity or not cls.sparse  # type: ignore[attr-defined]
        if budget.mode != "natural" or finds:
            names.extend(cls.variants or [cls.name])  # type: ignore[attr-defined]
    return names


def parse_named(text: str) -> tuple[str, dict[str, Any]]:
    name, bracket, rest = text.partition("[")
    if not bracket:
        return name, {}
    if not rest.endswith("]"):
        raise UserError(f"-s {text!r}: write name[param=value,param=value]")
    return name, dict(parse_override(part) for part in split(rest[:-1]))


def _check_budget(component: Component, config: SparsifierConfig, budget: BudgetConfig) -> None:
    cls = component.cls
    if budget.mode == "natural" and cls.sparse and not cls.finds_sparsity:  # type: ignore[attr-defined]
        raise UserError(f"{config.name} has no sparsity of its own: give a share, for example --budget 0.5")
