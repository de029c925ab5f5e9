"""A subject: a plugin class with parameters, and what its rules share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msbench.config import build_part, validated
from msbench.plugins import Component, Plugins


@dataclass
class Subject(ABC):
    """One plugin class under one name (a variant's, where it has variants), with its parameters.

    sources: what another process must load to have the class, as `--plugin` takes it.
    """

    plugins: Plugins
    component: Component
    given: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.component.name

    @property
    def cls(self) -> Any:
        """The plugin class."""
        return self.component.cls

    @property
    def params(self) -> dict[str, Any]:
        """All parameters: the variant's, then the given ones, then defaults; UserError where one is not valid."""
        variant = getattr(self.cls, "variants", {}).get(self.component.name, {})
        return validated(self.component, {**variant, **self.given}, self.component.name)

    def create(self, **changes: Any) -> Any:
        """An instance, with some parameters changed."""
        return build_part(self.component, validated(self.component, {**self.params, **changes}, self.component.name))

    @abstractmethod
    def attempt(self, instance: Any) -> None:
        """Use an instance as the host would, as cheaply as may be."""
