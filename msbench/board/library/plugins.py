"""Pages of the plugin packages: what records name, and what is installed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from msbench.board import text
from msbench.board.library.catalogue import Catalogue, InstalledPackage, package_of
from msbench.board.library.names import dataset_href, distinct, method_href, method_of, plugin_href, prose
from msbench.board.reading.load import Run
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site


@dataclass(frozen=True)
class MethodLine:
    """A method of a package as records know it. `sources`: short digests of its code, newest run first.

    here: whether the newest of them is the code that is installed here; empty where it cannot be said.
    """

    name: str
    href: str
    versions: str
    sources: tuple[str, ...]
    runs: int
    here: str


@dataclass(frozen=True, eq=False)
class PluginPage:
    """One package: the runs of its methods, newest first, and itself where it is installed here."""

    name: str
    runs: Sequence[Run]
    catalogue: Catalogue

    @property
    def installed(self) -> InstalledPackage | None:
        return self.catalogue.packages.get(self.name)

    @property
    def summary(self) -> Markup:
        return prose(self.installed.summary if self.installed else "")

    @property
    def versions(self) -> str:
        """Versions that runs were made with."""
        return text.words(distinct(run.record.sparsifier.version for run in self.runs))

    @cached_property
    def methods(self) -> list[MethodLine]:
        """Methods that have runs, by name."""
        grouped: dict[str, list[Run]] = {}
        for run in self.runs:
            grouped.setdefault(method_of(run.record.sparsifier.name), []).append(run)
        return [self._line(name, runs) for name, runs in sorted(grouped.items())]

    @property
    def components(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """By kind: names with their pages (empty where there is none), of what is installed here."""
        known: Mapping[str, Sequence[str]] = self.installed.components if self.installed else {}
        return [(kind, [(name, self._href(kind, name)) for name in names]) for kind, names in known.items() if names]

    def _href(self, kind: str, name: str) -> str:
        """Page of a component; empty where it has none."""
        if kind == "sparsifier" and name in self.catalogue.methods:
            return method_href(name)
        return dataset_href(name) if kind == "dataset" and name in self.catalogue.datasets else ""

    def _line(self, name: str, runs: Sequence[Run]) -> MethodLine:
        sources = distinct(run.record.hashes.get("sparsifier_sources", "") for run in runs)
        installed = self.catalogue.methods.get(name)
        here = ""
        if sources and installed and installed.sources:
            here = "same code" if sources[0] == installed.sources else "other code"
        versions = text.words(distinct(run.record.sparsifier.version for run in runs))
        return MethodLine(name, method_href(name), versions, tuple(s[:12] for s in sources), len(runs), here)


def plugin_pages(site: Site) -> Iterator[Page]:
    """The index of plugin packages, and one page for each that records name or that is installed."""
    catalogue = site.library.catalogue
    runs: dict[str, list[Run]] = {name: [] for name in catalogue.packages}
    for run in site.newest:
        runs.setdefault(package_of(run.record.sparsifier.plugin), []).append(run)
    pages = [PluginPage(name, found, catalogue) for name, found in sorted(runs.items())]
    yield Page(
        "plugins.html",
        "plugins.html",
        lambda: {"plugins": pages, "href": plugin_href},
        digest([_stamp(page) for page in pages]),
    )
    for page in pages:
        yield Page(
            plugin_href(page.name),
            "plugin.html",
            lambda page=page: {"page": page},  # type: ignore[misc]
            digest(_stamp(page)),
        )


def _stamp(page: PluginPage) -> object:
    sources = [[name, method.sources] for name, method in page.catalogue.methods.items()]
    return [page.name, repr(page.installed), sources, [run.digest for run in page.runs]]
