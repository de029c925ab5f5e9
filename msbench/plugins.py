"""Finds plugins and isolates broken ones. Three ways in: entry point, `--plugin` file or module, class from Python."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy

from msbench import __version__, hookspecs
from msbench.errors import UserError, nearest
from msbench.hooks import register

DISABLE = "MSBENCH_DISABLE"
"""Environment variable: plugins, by comma, that must not be imported at all."""
TRACE = "MSBENCH_TRACE"
"""Environment variable: anything but empty or 0 prints every hook call to standard error."""
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
    """A plugin that could not be loaded. `traceback` is empty where `error` says it all."""

    plugin: str
    error: str
    traceback: str


@dataclass
class Plugins:
    """Everything installed, by kind and name; what failed to load; and what was not to be loaded."""

    manager: pluggy.PluginManager
    components: dict[str, dict[str, Component]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)

    def get(self, kind: str, name: str) -> Component:
        """The component of this name; UserError names the nearest one, or the broken plugin that may have held it."""
        found = self.components[kind].get(name)
        if found is not None:
            return found
        lost = "".join(f"; plugin {b.plugin!r} failed to load: {b.error}" for b in self.broken)
        lost += "".join(f"; plugin {name!r} is disabled by {DISABLE}" for name in self.disabled)
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
    its failure is a UserError. What MSBENCH_DISABLE names is not imported: a distribution, an entry point as
    `distribution:name` or `name`, or an extra file or module as it is given.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    if os.environ.get(TRACE, "0") not in ("", "0"):
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    plugins = Plugins(manager, {kind: {} for kind in KINDS})
    entries, extra = _entry_points(), list(extra)
    disabled = _disabled({name for entry in entries for name in _names(entry)} | set(extra))
    for entry in entries:
        label = f"{_distribution(entry)}:{entry.name}"
        if disabled & _names(entry):
            plugins.disabled.append(label)
            continue
        try:
            _register(plugins, entry.load(), label, _version(entry))
        except UserError as error:
            plugins.broken.append(Broken(label, str(error), ""))
        except Exception as error:  # a plugin may fail in any way; it must not take the host with it
            plugins.broken.append(Broken(label, _line(error), traceback.format_exc()))
    for source in extra:
        if source in disabled:
            raise UserError(f"--plugin {source}: it is disabled by {DISABLE}")
        _load_extra(plugins, source)
    return plugins


def _load_extra(plugins: Plugins, source: str) -> None:
    try:
        name, _, class_name = source.partition(".py:") if ".py:" in source else source.partition(":")
        module = import_plugin(f"{name}.py" if ".py:" in source else name)
        if class_name:
            _add(plugins, _kind_of(getattr(module, class_name)), getattr(module, class_name), module.__name__, "")
        elif not plugins.manager.is_registered(module):  # an installed plugin may be named once more
            _register(plugins, module, module.__name__, getattr(module, "__version__", ""))
    except UserError as error:
        prefix = f"--plugin {source}: "
        raise UserError(str(error) if str(error).startswith(prefix) else f"{prefix}{error}") from error
    except Exception as error:
        raise UserError(f"--plugin {source}: {_line(error)}\n{traceback.format_exc()}") from error


def field_types(cls: type, annotated: bool = True) -> dict[str, Any]:
    """Type of each field of a plugin class as the module that defines it sees it, with or without its bounds."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = {f.name for f in dataclasses.fields(base)} if dataclasses.is_dataclass(base) else set()
        names = {name: hint for name, hint in inspect.get_annotations(base).items() if name in own}
        found |= typing.get_type_hints(
            SimpleNamespace(__annotations__=names), vars(sys.modules[base.__module__]), include_extras=annotated
        )
    return found


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


def _names(entry: EntryPoint) -> set[str]:
    """How MSBENCH_DISABLE may name a plugin."""
    return {_distribution(entry), entry.name, f"{_distribution(entry)}:{entry.name}"}


def _disabled(known: set[str]) -> set[str]:
    """What MSBENCH_DISABLE names; a name that is nowhere is an error, since the plugin that was meant would load."""
    asked = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    for name in sorted(asked - known):
        raise UserError(f"{DISABLE}: there is no plugin {name!r}: {nearest(name, known)}")
    return asked


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _register(plugins: Plugins, module: ModuleType, name: str, version: str) -> None:
    """Register one plugin and collect its classes; on any failure nothing of it stays."""
    register(plugins.manager, module, name)
    before = {kind: dict(known) for kind, known in plugins.components.items()}
    try:
        others = [other for other in plugins.manager.get_plugins() if other is not module]
        for kind, hook in KINDS.items():
            for found in plugins.manager.subset_hook_caller(hook, others)():
                for cls in _classes(found, hook):
                    _add(plugins, kind, cls, name, version)
    except BaseException:
        plugins.manager.unregister(module)
        plugins.components = before
        raise


def _classes(found: Any, hook: str) -> Iterable[type]:
    if not isinstance(found, list | tuple) or not all(isinstance(cls, type) for cls in found):
        raise UserError(f"{hook} returned {found!r}, not a list of classes")
    return found


def _add(plugins: Plugins, kind: str, cls: type, plugin: str, version: str) -> None:
    if _kind_of(cls) != kind:
        raise UserError(f"{plugin}: {cls.__name__} is a {_kind_of(cls)}, but {KINDS[kind]} returned it")
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
