"""The reference of configuration keys, from the typed configuration and the composed defaults."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from msbench.docsgen.markdown import described, table, type_name

PLAIN = {
    "tasks": ("list of text", "Names of the tasks that are trained; empty: the dataset's default ones."),
    "control": ("text", "The sparsifier that removes nothing: Δ_T is measured against its run of the same seed."),
}
"""Keys beside the sections: type and meaning."""


@dataclasses.dataclass(frozen=True)
class Key:
    """One key as it is typed, with its type, its default under the presets quick and smoke, and its meaning."""

    name: str
    type: str
    quick: str
    smoke: str
    what: str


def keys() -> list[Key]:
    """Every key that `key=value` may name, but those of plugin classes."""
    composed = {preset: _composed(preset) for preset in ("quick", "smoke")}
    found = [Key(name, kind, *_defaults(composed, name), what) for name, (kind, what) in PLAIN.items()]
    return [*found, *_sections(composed)]


def reference() -> str:
    """A table of keys."""
    rows = [(f"`{key.name}`", key.type, key.quick, _other(key), key.what) for key in keys()]
    return table(["key", "type", "default", "under `smoke`", "what"], rows)


def _sections(composed: Mapping[str, Any]) -> Iterator[Key]:
    from msbench.config import BudgetConfig, EngineConfig, MetaTestConfig
    from msbench.training.settings import TrainingSettings

    for section, cls in (("budget", BudgetConfig), ("engine", EngineConfig), ("meta_test", MetaTestConfig)):
        for name, field in cls.model_fields.items():
            if (section, name) != ("meta_test", "source"):  # msbench fills it in
                key, hint = f"{section}.{name}", typing.get_type_hints(cls, include_extras=True)[name]
                yield Key(key, type_name(hint), *_defaults(composed, key, field.default), field.description or "")
    fields = dataclasses.fields(TrainingSettings)
    texts = described(TrainingSettings, [field.name for field in fields])[1]
    hints = typing.get_type_hints(TrainingSettings, include_extras=True)
    for one in fields:
        key = f"training.{one.name}"
        yield Key(key, type_name(hints[one.name]), *_defaults(composed, key, one.default), texts.get(one.name, ""))


def _composed(preset: str) -> dict[str, Any]:
    from msbench.plugins import load_plugins

    return _compose(load_plugins(), {"preset": preset})


def _compose(plugins: Any, choices: Mapping[str, str]) -> dict[str, Any]:
    from msbench.compose import compose

    return compose(plugins, choices, [])


def _defaults(composed: Mapping[str, Any], key: str, otherwise: Any = None) -> tuple[str, str]:
    """The key's value under quick and under smoke; `otherwise` where no file of configs/ sets it."""
    shown = []
    for plain in composed.values():
        value: Any = plain
        for part in key.split("."):
            value = value.get(part, otherwise) if isinstance(value, dict) else otherwise
        shown.append(_shown(value))
    return shown[0], shown[1]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def _other(key: Key) -> str:
    return key.smoke if key.smoke != key.quick else ""
