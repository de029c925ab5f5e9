"""Every page beside the boards and runs."""

from __future__ import annotations

from collections.abc import Iterator

from msbench.board.library.changelog import changelog_pages
from msbench.board.library.datasets import dataset_pages
from msbench.board.library.methods import method_pages
from msbench.board.library.metrics import metric_pages
from msbench.board.library.papers import paper_pages
from msbench.board.library.plugins import plugin_pages
from msbench.board.library.reading import reading_pages
from msbench.board.site.page import Page
from msbench.board.site.site import Site


def library_pages(site: Site) -> Iterator[Page]:
    """Indexes and pages of methods, datasets, papers and plugins; how to read them, metrics, and changes."""
    yield from method_pages(site)
    yield from dataset_pages(site)
    yield from paper_pages(site)
    yield from plugin_pages(site)
    yield from reading_pages(site)
    yield from metric_pages(site)
    yield from changelog_pages(site)
