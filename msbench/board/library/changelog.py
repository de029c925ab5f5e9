"""The changelog of the board, from the records' own dates, and from a file of notes where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markdown_it import MarkdownIt
from markupsafe import Markup

from msbench.board import text
from msbench.board.comparison.grouping import Board
from msbench.board.library.names import method_href, method_of
from msbench.board.reading.load import Run
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site


@dataclass(frozen=True)
class Addition:
    """Runs of one method that one day added to one board. `others`: how many of them did not end well."""

    name: str
    href: str
    seeds: str
    runs: int
    others: int


@dataclass(frozen=True, eq=False)
class Day:
    """What was added on one day, board by board; a board of None holds the runs without one."""

    date: str
    runs: int
    boards: Sequence[tuple[Board | None, str, Sequence[Addition]]]


def changelog_pages(site: Site) -> Iterator[Page]:
    """One page."""
    found = [[run.digest, (board := site.board_of(run)) and board.title, site.href(board)] for run in site.loaded.runs]
    yield Page(
        "changelog.html",
        "changelog.html",
        lambda: {
            "days": _days(site),
            "notes": notes(site.library.changes),
            "metrics": _versions(run.record.metric_version for run in site.loaded.runs),
            "schemas": _versions(run.record.schema_version for run in site.loaded.runs),
        },
        digest(found, site.library.changes),
    )


def notes(markdown: str) -> Markup:
    """Markdown as HTML, without raw HTML and with its headings two levels below the page's own."""
    parser = MarkdownIt("commonmark", {"html": False})
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _days(site: Site) -> list[Day]:
    """Newest first."""
    runs = sorted(site.loaded.runs, key=lambda run: run.record.created[:10], reverse=True)
    return [_day(site, date, list(found)) for date, found in groupby(runs, key=lambda run: run.record.created[:10])]


def _day(site: Site, date: str, runs: Sequence[Run]) -> Day:
    by_board: dict[Board | None, list[Run]] = {}
    for run in runs:
        by_board.setdefault(site.board_of(run), []).append(run)
    ordered = sorted(by_board.items(), key=lambda item: item[0].title if item[0] else "~")
    return Day(date, len(runs), [(board, site.href(board), _additions(found)) for board, found in ordered])


def _additions(runs: Sequence[Run]) -> list[Addition]:
    by_method: dict[str, list[Run]] = {}
    for run in runs:
        by_method.setdefault(method_of(run.record.sparsifier.name), []).append(run)
    return [
        Addition(
            name,
            method_href(name),
            text.seeds(run.record.seed for run in found),
            len(found),
            sum(run.record.status != "ok" for run in found),
        )
        for name, found in sorted(by_method.items())
    ]


def _versions(numbers: Iterator[int]) -> list[tuple[int, int]]:
    """Version and number of runs, newest version first."""
    known = list(numbers)
    return [(version, known.count(version)) for version in sorted(set(known), reverse=True)]
