"""A paper's table as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperColumn:
    """Heading with its direction; `ours` names our figure where it is another one than the paper's."""

    label: str
    ours: str = ""


@dataclass(frozen=True)
class PaperCell:
    """Ours, the published value, and ours less published; each empty where there is none."""

    ours: str = ""
    published: str = ""
    difference: str = ""


@dataclass(frozen=True)
class PaperLine:
    """A row of the table. `runs`: run_id and seed of each run. `state` stands in place of ours that are not there."""

    label: tuple[str, ...]
    cells: tuple[PaperCell, ...]
    runs: tuple[tuple[str, int], ...] = ()
    state: str = ""
    command: str = ""


@dataclass(frozen=True)
class PaperView:
    """One published table with ours beside it. `complete`: rows that have a result."""

    preset: str
    table: str
    title: str
    paper: str
    shows: str
    published_on: str
    header: tuple[str, ...]
    columns: tuple[PaperColumn, ...]
    lines: tuple[PaperLine, ...]
    ours: str
    below: tuple[str, ...]
    notes: tuple[str, ...]
    command: str
    complete: int
    newest: str = ""
    warnings: tuple[tuple[str, str], ...] = ()
    """What must be said before any of its figures, by heading."""

    @property
    def rows(self) -> int:
        """Rows of the paper's table."""
        return sum(any(cell.published for cell in line.cells) or bool(line.runs or line.state) for line in self.lines)

    @property
    def short(self) -> str:
        """The preset without its folder: the name of its page."""
        return self.preset.rpartition("/")[2]
