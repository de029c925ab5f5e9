"""What the pages know beside the records: installed plugins, pictures of data, papers' tables, changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msbench.board.library.catalogue import Catalogue
from msbench.board.library.tables import PaperView
from msbench.records.record import Record


@dataclass(frozen=True)
class Papers:
    """Published tables by preset, each with a digest of its file, and how records fill all of them."""

    digests: Mapping[str, str]
    views: Callable[[Sequence[Record]], Sequence[PaperView]]


@dataclass(frozen=True)
class Library:
    """Empty by default: pages then say what the records alone know.

    sheets: folder of the datasets' contact sheets. real_images: whether pictures of data that is not synthetic may
    be on the pages. changes: Markdown for the changelog.
    """

    catalogue: Catalogue = field(default_factory=Catalogue)
    papers: Papers | None = None
    sheets: Path | None = None
    real_images: bool = True
    changes: str = ""
