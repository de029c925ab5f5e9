"""What is installed beside the records, as plain text: pages show it and never import a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    """A field of a plugin class. `doc` may hold code in backticks; empty where the class says nothing."""

    name: str
    type: str
    default: str
    doc: str


@dataclass(frozen=True)
class InstalledMethod:
    """A sparsifier class under one of its names: its own, or that of a variant with the parameters that make it.

    plugin: as records write it, `distribution:entry point`. sources: digest of its code, as in records' hashes.
    """

    name: str
    base: str
    plugin: str
    version: str
    summary: str
    description: tuple[str, ...] = ()
    paper: str = ""
    parameters: tuple[Parameter, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    rulings: tuple[str, ...] = ()
    sources: str = ""
    finds_sparsity: bool = False
    sparse: bool = True


@dataclass(frozen=True)
class InstalledDataset:
    """A dataset class. `source` says where to get the data; empty for data that msbench makes."""

    name: str
    plugin: str
    version: str
    summary: str
    synthetic: bool
    licence: str = ""
    paper: str = ""
    source: str = ""
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstalledPackage:
    """A distribution, or a file or module that was named, and everything that it adds, by kind."""

    name: str
    version: str
    summary: str = ""
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class DefinedMetric:
    """A metric that a task of an installed dataset has."""

    kind: str
    name: str
    label: str
    unit: str
    better: str
    in_delta: bool
    formula: str = ""


@dataclass(frozen=True)
class Catalogue:
    """Everything installed, by name."""

    methods: Mapping[str, InstalledMethod] = field(default_factory=dict)
    datasets: Mapping[str, InstalledDataset] = field(default_factory=dict)
    packages: Mapping[str, InstalledPackage] = field(default_factory=dict)
    metrics: tuple[DefinedMetric, ...] = ()


def package_of(plugin: str) -> str:
    """The distribution of a plugin as records write it (`distribution:entry point`), or the whole of another name."""
    return plugin.partition(":")[0] or "unknown"
