"""What is installed, as the leaderboard's pages show it: parameters, papers and rulings of every plugin class."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from msbench.board.library.catalogue import (
    Catalogue,
    DefinedMetric,
    InstalledDataset,
    InstalledMethod,
    InstalledPackage,
    Parameter,
    package_of,
)
from msbench.config import build_part
from msbench.data.dataset import Dataset
from msbench.data.packed import PackedDataset
from msbench.errors import UserError
from msbench.plugins import Component, Plugins, field_types
from msbench.runs.identity.sources import class_digest


def catalogue(plugins: Plugins) -> Catalogue:
    """Every sparsifier, dataset and plugin package, and the metrics of the datasets that can be asked without data."""
    methods = {name: _method(component) for name, component in plugins.components["sparsifier"].items()}
    datasets = {name: _dataset(component) for name, component in plugins.components["dataset"].items()}
    return Catalogue(methods, datasets, _packages(plugins), tuple(_metrics(plugins)))


def parameters(cls: type) -> tuple[Parameter, ...]:
    """The fields of a plugin class with their types, defaults, and what its docstring says of each."""
    if not dataclasses.is_dataclass(cls):
        return ()
    fields, hints = dataclasses.fields(cls), field_types(cls, annotated=False)
    said = _field_docs(inspect.getdoc(cls) or "", [field.name for field in fields])
    return tuple(
        Parameter(field.name, type_name(hints[field.name]), _default(field), said.get(field.name, ""))
        for field in fields
    )


def type_name(hint: object) -> str:
    """A type as users read it: the choices of a literal, else its name."""
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(str(value) for value in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _method(component: Component) -> InstalledMethod:
    cls: Any = component.cls
    given = cls.variants.get(component.name, {})
    summary, description = _description(cls)
    try:
        rulings = tuple(build_part(component, dict(given)).notes())
        sources = class_digest(cls)
    except (UserError, TypeError, ValueError):  # a class that needs a parameter, or has no file, still has a page
        rulings, sources = (), ""
    return InstalledMethod(
        component.name,
        cls.name,
        component.plugin,
        component.version,
        summary,
        description,
        cls.paper,
        parameters(cls),
        {name: str(value) for name, value in given.items()},
        tuple(cls.variants),
        rulings,
        sources,
        cls.finds_sparsity,
        cls.sparse,
    )


def _dataset(component: Component) -> InstalledDataset:
    cls: type[Dataset] = component.cls
    source = cls.source if issubclass(cls, PackedDataset) else ""
    tasks = tuple(task.name for task in _tasks(cls))
    summary, _ = _description(cls)
    return InstalledDataset(
        component.name,
        component.plugin,
        component.version,
        summary,
        cls.synthetic,
        cls.licence,
        cls.paper,
        source,
        tasks,
    )


def _tasks(cls: type[Dataset]) -> tuple[Any, ...]:
    """The tasks of a dataset with its defaults; none where only the data can tell."""
    try:
        return cls().tasks()
    except (UserError, TypeError):
        return ()


def _metrics(plugins: Plugins) -> Iterator[DefinedMetric]:
    seen = set()
    for cls in plugins.classes("dataset").values():
        for task in _tasks(cls):
            for name, spec in task.metrics.items():
                if (task.kind, name) not in seen:
                    seen.add((task.kind, name))
                    yield DefinedMetric(
                        task.kind, name, spec.label, spec.unit, spec.better, spec.in_delta, spec.formula
                    )


def _packages(plugins: Plugins) -> dict[str, InstalledPackage]:
    found: dict[str, dict[str, list[str]]] = {}
    versions: dict[str, str] = {}
    for kind, components in plugins.components.items():
        for component in components.values():
            package = package_of(component.plugin)
            found.setdefault(package, {}).setdefault(kind, []).append(component.name)
            versions[package] = component.version
    return {
        name: InstalledPackage(
            name, versions[name], _about(name), {kind: tuple(names) for kind, names in kinds.items()}
        )
        for name, kinds in found.items()
    }


def _about(distribution: str) -> str:
    try:
        return str(metadata(distribution).json.get("summary", ""))
    except (PackageNotFoundError, ValueError):  # a file or module that was named
        return ""


def _description(cls: type) -> tuple[str, tuple[str, ...]]:
    """First paragraph of a docstring, and the others without those that describe fields."""
    fields = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(cls) or "").split("\n\n")]
    told = [part for part in paragraphs if part and not _starts_with_field(part, fields)]
    return (told[0], tuple(told[1:])) if told else ("", ())


def _starts_with_field(paragraph: str, fields: list[str]) -> bool:
    return bool(fields) and _heads(fields).match(paragraph) is not None


def _field_docs(doc: str, fields: list[str]) -> dict[str, str]:
    """What a docstring says of each field: `name: text`, `name, other: text`, one after the other."""
    if not fields:
        return {}
    found: dict[str, str] = {}
    for paragraph in (" ".join(part.split()) for part in doc.split("\n\n")):
        if _starts_with_field(paragraph, fields):
            heads = list(_heads(fields).finditer(paragraph))
            ends = [*(head.start() for head in heads[1:]), len(paragraph)]
            for head, end in zip(heads, ends, strict=True):
                text = paragraph[head.end() : end].strip()
                found |= dict.fromkeys(head[1].split(", "), text[:1].upper() + text[1:] if text[:1].isascii() else text)
    return found


def _heads(fields: list[str]) -> re.Pattern[str]:
    """Where the description of a field, or of several, begins: at the start, or after the end of a sentence."""
    names = "|".join(map(re.escape, sorted(fields, key=len, reverse=True)))
    return re.compile(rf"(?:^|(?<=[.)] ))((?:{names})(?:, (?:{names}))*): ")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return field.default if isinstance(field.default, str) else repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "required"
