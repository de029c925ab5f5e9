"""Audits boards against the checklist of good pruning evaluation: what a board meets, what not, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from msbench.board.auditing import checklist
from msbench.board.comparison.comparability import kept_apart
from msbench.board.comparison.grouping import Board
from msbench.board.comparison.points import Point, met, unless
from msbench.board.comparison.ranking import BoardRows
from msbench.board.reading.load import Loaded, Run
from msbench.board.text import plural, words

MIN_PAIRS: Final = 3
"""(Dataset, network) pairs below which nothing general may be claimed (Blalock et al., 2020)."""
AUDIT_VERSION: Final = 1
"""Version of the JSON layout."""


@dataclass(frozen=True)
class BoardAudit:
    """The points of one board."""

    title: str
    slug: str
    description: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Audit:
    """Every board's points, and those of the store as a whole."""

    boards: tuple[BoardAudit, ...]
    store: tuple[Point, ...]

    @property
    def passed(self) -> bool:
        """Whether no point is unmet."""
        every = [*self.store, *(point for board in self.boards for point in board.points)]
        return all(point.result != "not met" for point in every)

    def json(self) -> str:
        """For machines: the same, with a version."""
        data = {"schema_version": AUDIT_VERSION, "passed": self.passed} | asdict(self)
        return json.dumps(data, ensure_ascii=False, indent=1)

    def text(self) -> str:
        """One line a point."""
        parts = [(f"{board.title} ({board.description})", board.points) for board in self.boards]
        lines: list[str] = []
        for title, points in [*parts, ("The store as a whole", self.store)]:
            lines += [title, *(_line(point) for point in points), ""]
        every = [*self.store, *(point for board in self.boards for point in board.points)]
        counts = [sum(point.result == result for point in every) for result in ("met", "not met", "not applicable")]
        return "\n".join([*lines, "{} met, {} not met, {} not applicable.".format(*counts)])


def audit(loaded: Loaded, boards: Sequence[Board], unplaced: Sequence[Run]) -> Audit:
    """Judge every board, and the store: its unreadable records, its runs without a board, its pairs."""
    audits = tuple(
        BoardAudit(board.title, board.slug, board.description, tuple(checklist.points(BoardRows.of(board))))
        for board in boards
    )
    return Audit(audits, (_pairs(boards), _readable(loaded), _placed(unplaced), _apart(boards)))


def _pairs(boards: Iterable[Board]) -> Point:
    """Real data only: synthetic pictures and smoke runs count towards no claim."""
    every, real = set(), set()
    for board in boards:
        if board.dataset is None or board.model is None:
            continue
        every.add(board.title)
        if not board.dataset.synthetic and board.key.preset != "smoke" and any(run.finished for run in board.runs):
            real.add(board.title)
    why = f"{plural(len(real), 'pair')} on real data of {len(every)} in the store, {MIN_PAIRS} needed"
    return unless(len(real) < MIN_PAIRS, f"at least {MIN_PAIRS} (dataset, network) pairs", why, f"{len(real)} pairs")


def _readable(loaded: Loaded) -> Point:
    named = words(f"{item.folder}: {item.reason}" for item in loaded.unreadable[:3])
    why = f"{plural(len(loaded.unreadable), 'record')} cannot be read: {named}"
    return unless(bool(loaded.unreadable), "every record can be read", why, plural(len(loaded.runs), "record"))


def _placed(unplaced: Sequence[Run]) -> Point:
    why = f"stopped before it was known: {words(sorted(run.run_id for run in unplaced))}"
    return unless(bool(unplaced), "every run belongs to one board", why, "all do")


def _apart(boards: Sequence[Board]) -> Point:
    """Never unmet: what is not comparable was kept apart; the line says which field differs."""
    reasons = [f"{board.slug}: {why}" for board in boards if (why := kept_apart(board, boards))]
    return met("records that do not compare are kept apart", "; ".join(reasons) or "one board, nothing to keep apart")


def _line(point: Point) -> str:
    return f"  {point.result:<14}  {point.title}" + (f": {point.why}" if point.why else "")
