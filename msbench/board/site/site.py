"""What the pages are made from: the records, grouped into boards, and the ways between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msbench.board.comparison.curves import HISTORY
from msbench.board.comparison.grouping import Board, group
from msbench.board.comparison.ranking import BoardRows
from msbench.board.library.shelf import Library
from msbench.board.reading.load import Loaded, Run
from msbench.board.site.page import digest


@dataclass(frozen=True, eq=False)
class Site:
    """Everything that was loaded, and what several pages need of it, made once."""

    loaded: Loaded
    version: str
    library: Library = field(default_factory=Library)
    lines: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the digest of a board: digests of its lines on the methods' pages, by method; some from an earlier build."""
    figures: bool = False
    """Whether the figures of boards lie beside their pages as PDF."""
    _rows: dict[Board, BoardRows] = field(default_factory=dict, init=False, repr=False)
    _digests: dict[Board, str] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def grouped(self) -> tuple[list[Board], list[Run]]:
        """Boards, and runs without one."""
        return group(self.loaded.runs)

    @property
    def boards(self) -> list[Board]:
        return self.grouped[0]

    @property
    def unplaced(self) -> list[Run]:
        """Runs that stopped too early to say which board is theirs."""
        return self.grouped[1]

    @cached_property
    def newest(self) -> Sequence[Run]:
        """Every run, newest first."""
        return sorted(self.loaded.runs, key=lambda run: run.record.created, reverse=True)

    @cached_property
    def runs(self) -> Mapping[str, Run]:
        """Every run by its run_id."""
        return {run.run_id: run for run in self.loaded.runs}

    def rows(self, board: Board) -> BoardRows:
        """A board's rows and ranks."""
        if board not in self._rows:
            self._rows[board] = BoardRows.of(board)
        return self._rows[board]

    def names(self, board: Board) -> frozenset[str]:
        """Names of the sparsifiers on a board, the dense control's among them."""
        return self._names[board]

    def board_of(self, run: Run) -> Board | None:
        """The first board that shows a run."""
        return self._boards_by_run.get(run.run_id)

    def href(self, board: Board | None) -> str:
        """Where a board's page lies: a single board is the index, and so is no board."""
        return "index.html" if board is None or len(self.boards) == 1 else f"boards/{board.slug}.html"

    @cached_property
    def digest(self) -> str:
        """A digest of everything that was loaded, in its order."""
        return digest([run.digest for run in self.loaded.runs], self.problems_digest)

    def digest_of(self, board: Board) -> str:
        """A digest of a board's runs and their curves: a page that shows nothing else stays while this does."""
        if board not in self._digests:
            curves = [file for run in board.everything for file in run.files if file[0] == HISTORY]
            self._digests[board] = digest(board.slug, [run.digest for run in board.everything], curves)
        return self._digests[board]

    @cached_property
    def problems(self) -> Mapping[str, object]:
        """What the index lists below everything else: runs without a board, and records that cannot be read."""
        return {"unplaced": self.unplaced, "unreadable": self.loaded.unreadable}

    @cached_property
    def problems_digest(self) -> str:
        """A digest of `problems`."""
        lines = [[item.folder, item.reason] for item in self.loaded.unreadable]
        return digest([run.digest for run in self.unplaced], lines)

    @cached_property
    def _names(self) -> Mapping[Board, frozenset[str]]:
        return {board: frozenset(run.record.sparsifier.name for run in board.everything) for board in self.boards}

    @cached_property
    def _boards_by_run(self) -> Mapping[str, Board]:
        found: dict[str, Board] = {}
        for board in self.boards:
            for run in board.everything:
                found.setdefault(run.run_id, board)
        return found
