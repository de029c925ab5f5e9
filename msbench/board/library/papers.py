"""Pages of the papers' tables: an index, and one page for each table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from msbench.board.library.names import prose
from msbench.board.library.tables import PaperView
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site


def paper_pages(site: Site) -> Iterator[Page]:
    """The index, and the pages of all tables: those without results show the published values and a command."""
    papers = site.library.papers
    runs = sorted(run.digest for run in site.loaded.runs)

    @cache
    def views() -> Mapping[str, PaperView]:
        records = [run.record for run in site.loaded.runs]
        return {view.preset: view for view in papers.views(records)} if papers else {}

    digests = papers.digests if papers else {}
    yield Page("papers.html", "papers.html", lambda: {"papers": list(views().values())}, digest(digests, runs))
    for preset, own in digests.items():
        yield Page(
            f"papers/{preset.rpartition('/')[2]}.html",
            "paper.html",
            lambda preset=preset: {"view": views()[preset], "prose": prose},  # type: ignore[misc]
            digest(own, runs),
        )
