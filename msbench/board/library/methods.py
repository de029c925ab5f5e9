"""Pages of the methods: what each is, how it does on every board, its runs, and how to run it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from msbench.board import text
from msbench.board.library.catalogue import InstalledMethod, package_of
from msbench.board.library.lines import RowLine, boards_of, line_digests, row_lines
from msbench.board.library.names import distinct, file_name, method_href, method_of, plugin_href, prose
from msbench.board.reading.load import Run
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site


@dataclass(frozen=True, eq=False)
class MethodPage:
    """One method: its runs, newest first, and its class where the plugin is installed here."""

    site: Site
    name: str
    runs: Sequence[Run]
    installed: InstalledMethod | None

    @property
    def file(self) -> str:
        """Name of its page, without ending."""
        return file_name(self.name)

    @property
    def base(self) -> str:
        """The class's own name."""
        return self.installed.base if self.installed else self.runs[0].record.sparsifier.base

    @property
    def summary(self) -> Markup:
        """One sentence, from the class or from the newest record."""
        recorded = self.runs[0].record.sparsifier.summary if self.runs else ""
        return prose(self.installed.summary if self.installed else recorded)

    @property
    def description(self) -> list[Markup]:
        return [prose(paragraph) for paragraph in self.installed.description] if self.installed else []

    @property
    def papers(self) -> list[str]:
        """What it is cited by; more than one where versions differ."""
        own = [self.installed.paper] if self.installed else []
        return distinct([*own, *(run.record.sparsifier.paper for run in self.runs)])

    @property
    def parameters(self) -> list[tuple[str, str, str, Markup]]:
        """Name, type, value under this name, and meaning."""
        if self.installed is None:
            return []
        given = self.installed.given
        return [(p.name, p.type, given.get(p.name, p.default), prose(p.doc)) for p in self.installed.parameters]

    @property
    def recorded_parameters(self) -> list[tuple[str, str]]:
        """Of the newest run, for a method whose plugin is not installed here."""
        params = self.runs[0].record.sparsifier.params if self.runs else {}
        return [(name, str(value)) for name, value in params.items()]

    @property
    def rulings(self) -> list[tuple[Markup, str]]:
        """Each ruling and the share of runs that followed it; those of the class where there are no runs."""
        if not self.runs:
            return [(prose(line), "") for line in (self.installed.rulings if self.installed else ())]
        noted = distinct(line for run in self.runs for line in run.record.sparsifier.notes)
        counts = [sum(line in run.record.sparsifier.notes for run in self.runs) for line in noted]
        every = len(self.runs)
        return [
            (prose(line), "" if found == every else f"{found} of {text.plural(every, 'run')}")
            for line, found in zip(noted, counts, strict=True)
        ]

    @cached_property
    def lines(self) -> list[RowLine]:
        return list(row_lines(self.site, self.name))

    @property
    def relatives(self) -> list[tuple[str, str]]:
        """Other names of the same class, with their pages."""
        if self.installed is None:
            return []
        names = distinct([self.installed.base, *self.installed.variants])
        known = self.site.library.catalogue.methods
        return [(name, method_href(name)) for name in names if name != self.name and name in known]

    @property
    def plugins(self) -> list[tuple[str, str, str]]:
        """Package, its page, and the versions that runs were made with (or the installed one)."""
        versions: dict[str, list[str]] = {}
        for run in self.runs:
            part = run.record.sparsifier
            versions.setdefault(package_of(part.plugin), []).append(part.version)
        if self.installed:
            versions.setdefault(package_of(self.installed.plugin), [self.installed.version])
        return [(name, plugin_href(name), text.words(distinct(found))) for name, found in versions.items()]

    @property
    def commands(self) -> list[str]:
        """How to run it, the most useful first."""
        name = shlex.quote(self.name)
        if self.installed is None:
            return []
        if not self.installed.sparse:
            return [f"msbench run -s {name} --seeds 3"]
        natural = [f"msbench run -s {name} --budget natural --seeds 3"] if self.installed.finds_sparsity else []
        return [
            f"msbench run -s {name} --budget matched --seeds 3",
            f"msbench run -s {name} --budget 0.9 --seeds 3",
            *natural,
        ]


def method_pages(site: Site) -> Iterator[Page]:
    """The index of methods, and one page for each that has runs or is installed."""
    found = {name: MethodPage(site, name, runs, _installed(site, name)) for name, runs in _by_method(site).items()}
    for name in site.library.catalogue.methods:
        found.setdefault(name, MethodPage(site, name, (), _installed(site, name)))
    pages = sorted(found.values(), key=lambda page: (not page.runs, page.name))
    yield Page(
        "methods.html",
        "methods.html",
        lambda: {"methods": pages},
        digest([[page.name, [run.digest for run in page.runs], _stamp(page)] for page in pages]),
    )
    for page in pages:
        boards = [
            [site.href(board), line_digests(site, board).get(page.name, "")] for board in boards_of(site, page.name)
        ]
        yield Page(
            method_href(page.name),
            "method.html",
            lambda page=page: {"page": page},  # type: ignore[misc]
            digest(page.name, boards, [run.digest for run in page.runs], _stamp(page)),
        )


def _installed(site: Site, name: str) -> InstalledMethod | None:
    return site.library.catalogue.methods.get(name)


def _stamp(page: MethodPage) -> str:
    return repr(page.installed)


def _by_method(site: Site) -> Mapping[str, Sequence[Run]]:
    """Runs of each method, newest first."""
    found: dict[str, list[Run]] = {}
    for run in site.newest:
        found.setdefault(method_of(run.record.sparsifier.name), []).append(run)
    return found
