"""All that a leaderboard shows beside its records: plugins, papers' tables, pictures of the data, changes."""

from __future__ import annotations

from pathlib import Path

from msbench.board.library.sheets import SHEETS
from msbench.board.library.shelf import Library
from msbench.papers.view import papers
from msbench.plugins import Plugins
from msbench.runs.catalogue import catalogue

CHANGES = "CHANGES.md"
"""Notes beside the records, shown on the changelog."""


def make_library(plugins: Plugins, root: Path, *, real_images: bool = True) -> Library:
    """What the pages of the store or published folder `root` know beside its records.

    real_images: whether contact sheets of data that is not synthetic may be on the pages.
    """
    installed = catalogue(plugins)
    unpruned = frozenset(method.base for method in installed.methods.values() if not method.sparse)
    changes = root / CHANGES
    return Library(
        installed,
        papers(unpruned),
        root / SHEETS,
        real_images,
        changes.read_text(encoding="utf-8", errors="replace") if changes.is_file() else "",
    )
