"""The pages of a leaderboard: each a `Page`, rendered by the builder only when what it shows has changed."""

from __future__ import annotations

from collections.abc import Iterator

from msbench.board.comparison.across import compare
from msbench.board.comparison.comparability import kept_apart
from msbench.board.comparison.grouping import Board
from msbench.board.comparison.ranking import rank_notice
from msbench.board.comparison.sweep import Sweep
from msbench.board.library.pages import library_pages
from msbench.board.plots import board_figures, overview_figures
from msbench.board.plots.files import OVERVIEW, folder_of
from msbench.board.reading.load import Run
from msbench.board.site.page import Page, digest
from msbench.board.site.run_page import RunPage, same_row
from msbench.board.site.site import Site
from msbench.board.table.summary import budget_words, facts, lead, warnings
from msbench.board.table.tables import detail_tables, main_table


def pages(site: Site) -> Iterator[Page]:
    """Every page of the site. A kind of page is one line here: a function from a `Site` to its `Page`s."""
    yield from board_pages(site)
    yield from overview_pages(site)
    yield from run_pages(site)
    yield from library_pages(site)


def board_pages(site: Site) -> Iterator[Page]:
    """A page a board, a single board is the index; and beside it a page with every metric."""
    for board in site.boards:
        path = site.href(board)
        single = path == "index.html"
        yield Page(
            path,
            "board.html",
            lambda board=board, single=single: board_context(site, board, single),  # type: ignore[misc]
            digest(single, site.digest_of(board), site.figures, site.problems_digest if single else ""),
        )
        if metrics := metrics_href(board):
            yield Page(
                metrics,
                "board_metrics.html",
                lambda board=board: metrics_context(site, board),  # type: ignore[misc]
                digest(path, site.digest_of(board)),
            )


def metrics_href(board: Board) -> str:
    """Where the page with every metric of a board lies; empty for a board without tasks."""
    return f"boards/{board.slug}-metrics.html" if board.tasks else ""


def overview_pages(site: Site) -> Iterator[Page]:
    """The index over several boards, or over none."""
    if len(site.boards) != 1:
        boards = [(board.title, site.digest_of(board)) for board in site.boards]
        shown = digest(boards, site.figures, site.problems_digest)
        yield Page("index.html", "overview.html", lambda: overview_context(site), shown)


def run_pages(site: Site) -> Iterator[Page]:
    """One page a run."""
    rows = same_row(site.loaded.runs)
    for run in site.loaded.runs:
        board, dense, seeds = site.board_of(run), _dense(site, run), rows[run.run_id]
        yield Page(
            f"runs/{run.run_id}.html",
            "run.html",
            lambda page=RunPage(run, board, site.href(board), dense, seeds): {"page": page},  # type: ignore[misc]
            digest(
                run.digest,
                run.files,
                [other.files for other in run.elsewhere],
                [dense.digest, dense.files] if dense else [],
                site.href(board),
                board and board.title,
                [[other.run_id, other.record.seed, other.record.status, other.finished] for other in seeds],
            ),
        )


def board_context(site: Site, board: Board, single: bool) -> dict[str, object]:
    """What the page of one board shows."""
    data = site.rows(board)
    sweep = Sweep.of(data)
    return {
        "single": single,
        "board": board,
        "data": data,
        "table": main_table(data),
        "metrics": metrics_href(board),
        "figures": board_figures(data),
        "pdf": folder_of(board) if site.figures else "",
        "sweep": sweep,
        "sweep_table": sweep.table(data),
        "notice": rank_notice(data),
        "lead": lead(data),
        "budget_words": budget_words(data),
        "facts": facts(data),
        "warnings": warnings(board.everything),
        **(site.problems if single else {"unplaced": (), "unreadable": ()}),
    }


def metrics_context(site: Site, board: Board) -> dict[str, object]:
    """What the page with every metric of a board shows."""
    return {
        "board": board,
        "href": site.href(board),
        "details": detail_tables(site.rows(board)),
        "warnings": warnings(board.everything),
    }


def overview_context(site: Site) -> dict[str, object]:
    """What the index over several boards shows."""
    rows = [site.rows(board) for board in site.boards]
    comparisons, notice = compare(rows)
    # Boards of other data or networks need no reason; of boards that look alike, it is the question.
    alike = {board.title: [other for other in site.boards if other.title == board.title] for board in site.boards}
    return {
        "boards": [
            (data, site.href(data.board), data.board.description, kept_apart(data.board, alike[data.board.title]))
            for data in rows
        ],
        "comparisons": overview_figures(comparisons),
        "pdf": OVERVIEW if site.figures else "",
        "notice": notice,
        **site.problems,
    }


def _dense(site: Site, run: Run) -> Run | None:
    """The dense run that a run was compared with."""
    return site.runs.get(run.record.delta.dense_run) if run.record.delta else None
