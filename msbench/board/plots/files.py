"""The figures of boards as files beside their pages, for papers and slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msbench.board.comparison.across import compare
from msbench.board.comparison.grouping import Board
from msbench.board.plots import Figure, board_figures, overview_figures
from msbench.board.plots.pdf import need_matplotlib, pdf_files
from msbench.board.site.ledger import Writer
from msbench.board.site.page import digest
from msbench.board.site.site import Site

OVERVIEW = "figures/overview"


def folder_of(board: Board) -> str:
    """Where the files of a board's figures lie, below the leaderboard's folder."""
    return f"figures/{board.slug}"


def write_figures(site: Site, writer: Writer) -> None:
    """Every figure of the boards and of the overview as PDF; those of boards that did not change are taken over.

    Raises UserError when matplotlib is not installed.
    """
    need_matplotlib()
    for board in site.boards:
        writer.texts(
            f"figures {board.slug}",
            digest(site.digest_of(board)),
            lambda board=board: _files(folder_of(board), board_figures(site.rows(board))),  # type: ignore[misc]
        )
    comparisons, notice = compare([site.rows(board) for board in site.boards])
    if not notice:
        everything = digest([site.digest_of(board) for board in site.boards])
        writer.texts("figures", everything, lambda: _files(OVERVIEW, overview_figures(comparisons)))


def _files(folder: str, figures: Sequence[Figure]) -> Mapping[str, bytes]:
    return {f"{folder}/{name}": content for name, content in pdf_files(figures).items()}
