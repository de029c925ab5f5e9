"""Finds plugins and isolates broken ones. Three ways in: entry point, `--plugin` file or module, class from Python."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from msbench import __version__, hookspecs
from msbench.errors import UserError, nearest

KINDS = {
    "sparsifier": "msbench_sparsifiers",
    "dataset": "msbench_datasets",
    "backbone": "msbench_backbones",
    "head": "msbench_heads",
    "criterion": "msbench_criteria",
    "loss balancer": "msbench_loss_balancers",
}


@dataclass(frozen=True)
class Component:
    """One class that a plugin adds, under its name."""

    kind: str
    name: str
    cls: type
    plugin: str
    version: str


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded."""

    plugin: str
    error: str
    traceback: str


@dataclass
class Plugins:
    """Everything installed, by kind and name; and what failed to load."""

    manager: pluggy.PluginManager
    components: dict[str, dict[str, Component]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def get(self, kind: str, name: str) -> Component:
        """The component of this name; UserError names the nearest one, or the broken plugin that may have held it."""
        found = self.components[kind].get(name)
        if found is not None:
            return found
        lost = "".join(f"; plugin {b.plugin!r} failed to load: {b.error}" for b in self.broken)
        raise UserError(f"unknown {kind} {name!r}: {nearest(name, self.components[kind])}{lost}")

    def classes(self, kind: str) -> Mapping[str, type]:
        """Name to class of one kind."""
        return {name: component.cls for name, component in self.components[kind].items()}

    @property
    def hook(self) -> Any:
        """The pluggy hook relay, for events."""
        return self.manager.hook


def load_plugins(extra: Iterable[str] = ()) -> Plugins:
    """Load the built-ins and every installed plugin, then `extra`: files or modules, or one class of either
    (`file.py:Class`, `module:Class`).

    Each is loaded on its own: one that fails is remembered with its traceback. An `extra` plugin was asked for, so
    its failure is a UserError.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager, {kind: {} for kind in KINDS})
    for entry in _entry_points():
        try:
            _register(plugins, entry.load(), f"{_distribution(entry)}:{entry.name}", _version(entry))
        except Exception as error:  # a plugin may fail in any way; it must not take the host with it
            plugins.broken.append(Broken(f"{_distribution(entry)}:{entry.name}", _line(error), traceback.format_exc()))
    for source in extra:
        try:
            name, _, class_name = source.partition(".py:") if ".py:" in source else source.partition(":")
            module = import_plugin(f"{name}.py" if ".py:" in source else name)
            if class_name:
                _add(plugins, _kind_of(getattr(module, class_name)), getattr(module, class_name), module.__name__, "")
            else:
                _register(plugins, module, module.__name__, getattr(module, "__version__", ""))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"--plugin {source}: {_line(error)}\n{traceback.format_exc()}") from error
    return plugins


def source_of(cls: type) -> str:
    """The `extra` source that names a class, so that another process can load it."""
    module = sys.modules[cls.__module__]
    if cls.__qualname__ != cls.__name__:
        raise UserError(f"{cls.__qualname__} is defined inside a function; move it to the top of its file")
    if cls.__module__ != "__main__":
        return f"{cls.__module__}:{cls.__name__}"
    path = getattr(module, "__file__", None)
    if path is None:
        raise UserError(f"{cls.__name__} is defined in an interactive session; put it into a file")
    return f"{Path(path).resolve()}:{cls.__name__}"


def import_plugin(source: str) -> ModuleType:
    """The module at a path ending in .py, or of a dotted name."""
    if not source.endswith(".py"):
        return importlib.import_module(source)
    path = Path(source).resolve()
    if not path.is_file():
        raise UserError(f"--plugin {source}: no such file")
    name = f"msbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _entry_points() -> list[EntryPoint]:
    """Built-ins first, so that a third party cannot take a built-in's name."""
    found = entry_points(group=hookspecs.PROJECT)
    return sorted(
        found, key=lambda entry: (_distribution(entry) != hookspecs.PROJECT, _distribution(entry), entry.name)
    )


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist is not None else __version__


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _register(plugins: Plugins, module: ModuleType, name: str, version: str) -> None:
    """Register one plugin and collect its classes; on any failure nothing of it stays."""
    plugins.manager.register(module, name)
    before = {kind: dict(known) for kind, known in plugins.components.items()}
    try:
        for kind, hook in KINDS.items():
            function = getattr(module, hook, None)
            for cls in function() if function is not None else ():
                _add(plugins, kind, cls, name, version)
    except BaseException:
        plugins.manager.unregister(module)
        plugins.components = before
        raise


def _add(plugins: Plugins, kind: str, cls: type, plugin: str, version: str) -> None:
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        raise UserError(f"{plugin}: {kind} class {cls.__name__} has no `name`")
    for alias in [name, *getattr(cls, "variants", {})]:
        other = plugins.components[kind].get(alias)
        if other is not None and other.cls is not cls:
            raise UserError(f"{plugin}: {kind} {alias!r} is already provided by {other.plugin}")
        plugins.components[kind][alias] = Component(kind, alias, cls, plugin, version)


def _kind_of(cls: type) -> str:
    from msbench.api import Backbone, Criterion, Dataset, Head, LossBalancer, Sparsifier

    bases = {
        Sparsifier: "sparsifier",
        Dataset: "dataset",
        Backbone: "backbone",
        Head: "head",
        Criterion: "criterion",
        LossBalancer: "loss balancer",
    }
    for base, kind in bases.items():
        if issubclass(cls, base):
            return kind
    raise UserError(f"{cls.__name__} is no plugin class: derive it from one of {', '.join(b.__name__ for b in bases)}")
