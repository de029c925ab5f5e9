"""Renders the pages of a board folder from what was loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jinja2 import Environment, PackageLoader, StrictUndefined

from msbench.board import text
from msbench.board.across import compare, critical_difference_figure
from msbench.board.cells import device_name, set_up
from msbench.board.comparability import kept_apart
from msbench.board.figures import board_figures
from msbench.board.grouping import Board, group
from msbench.board.load import Loaded, Run
from msbench.board.ranking import BoardRows, rank_notice
from msbench.board.run_page import RunPage
from msbench.board.summary import budget_words, facts, lead, warnings
from msbench.board.sweep import Sweep
from msbench.board.tables import detail_tables, main_table


@dataclass(frozen=True, eq=False)
class Site:
    """Everything that is written, by path below the folder."""

    loaded: Loaded
    version: str

    @cached_property
    def grouped(self) -> tuple[list[Board], list[Run]]:
        """Boards, and runs without one."""
        return group(self.loaded.runs)

    @property
    def boards(self) -> list[Board]:
        return self.grouped[0]

    def href(self, board: Board) -> str:
        """Where a board's page lies: a single board is the index."""
        return "index.html" if len(self.boards) == 1 else f"boards/{board.slug}.html"

    def pages(self) -> dict[str, str]:
        """Path to HTML."""
        environment = _environment(self.version)
        problems = {"unplaced": self.grouped[1], "unreadable": self.loaded.unreadable}
        pages = {}
        for board in self.boards:
            path = self.href(board)
            single = path == "index.html"
            context = _board_context(board) | (problems if single else {"unplaced": (), "unreadable": ()})
            pages[path] = environment.get_template("board.html").render(
                root="" if single else "../", single=single, **context
            )
        if "index.html" not in pages:
            pages["index.html"] = environment.get_template("overview.html").render(
                root="", **self._overview(), **problems
            )
        for run in self.loaded.runs:
            page = environment.get_template("run.html").render(root="../", page=self._run_page(run))
            pages[f"runs/{run.run_id}.html"] = page
        return pages

    def _overview(self) -> dict[str, object]:
        rows = [BoardRows.of(board) for board in self.boards]
        comparisons, notice = compare(rows)
        # Boards of other data or networks need no reason; of boards that look alike, it is the question.
        alike = {board.title: [other for other in self.boards if other.title == board.title] for board in self.boards}
        return {
            "boards": [
                (data, self.href(data.board), data.board.description, kept_apart(data.board, alike[data.board.title]))
                for data in rows
            ],
            "comparisons": [critical_difference_figure(item, f"ranks-{i}") for i, item in enumerate(comparisons)],
            "notice": notice,
        }

    def _run_page(self, run: Run) -> RunPage:
        board = next((board for board in self.boards if run in board.everything), None)
        wanted = run.record.delta.dense_run if run.record.delta else ""
        dense = next((other for other in self.loaded.runs if other.run_id == wanted), None)
        return RunPage(run, board, self.href(board) if board else "index.html", dense)


def _board_context(board: Board) -> dict[str, object]:
    data = BoardRows.of(board)
    sweep = Sweep.of(data)
    return {
        "board": board,
        "data": data,
        "table": main_table(data),
        "details": detail_tables(data),
        "figures": board_figures(data),
        "sweep": sweep,
        "sweep_table": sweep.table(data),
        "notice": rank_notice(data),
        "lead": lead(data),
        "budget_words": budget_words(data),
        "facts": facts(data),
        "warnings": warnings(board.everything),
    }


def _environment(version: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("msbench.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": text.amount,
        "count": text.count,
        "duration": text.duration,
        "milliseconds": text.milliseconds,
        "moment": text.moment,
        "paper_link": text.paper_link,
        "percent": text.percent,
        "points": text.points,
        "scientific": text.scientific,
        "set_up": set_up,
        "signed": text.signed,
        "size": text.size,
        "times": text.times,
        "device_name": device_name,
        "warnings": warnings,
    }
    environment.globals["version"] = version
    return environment
