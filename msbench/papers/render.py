"""A paper's table with ours beside it: for a terminal, and as CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from msbench.board.text import MINUS
from msbench.papers.fill import Filled
from msbench.papers.grid import Grid, GridRow, heading

FORMATS = ("text", "csv", "latex", "markdown")
OURS, PAPER = "ours", "paper"
NARROWEST = 9
"""Characters of a column, so that headings do not become towers."""


def to_text(filled: Filled, width: int) -> RenderableType:
    """For a terminal of this width: wide tables are cut between columns, and the rows' labels repeated."""
    grid = Grid.of(filled)
    head = [Text(grid.title, "bold"), *map(Text, grid.source)]
    tables = [_text_table(grid, columns) for columns in _cut(grid, width)]
    notes = [Text(f"- {note}") for note in grid.notes]
    return Group(*head, *tables, *map(Text, grid.below), Text("Notes"), *notes)


def _cut(grid: Grid, width: int) -> Iterator[list[int]]:
    """Indices of columns that fit side by side, beside the labels."""
    room = width - sum(_width([header, *(row.label[i] for row in grid.rows)]) for i, header in enumerate(grid.header))
    room -= len("ours (99)") + 4
    part: list[int] = []
    used = 0
    for index in range(len(grid.columns)):
        needed = _column_width(grid, index) + 1
        if part and used + needed > room:
            yield part
            part, used = [], 0
        part.append(index)
        used += needed
    yield part


def _column_width(grid: Grid, index: int) -> int:
    """Wide enough for the longest cell and heading word; headings wrap."""
    cells = [cell for row in grid.rows for cell in (row.ours[index], row.paper[index], row.state)]
    words = [word for line in heading(grid.columns[index]) for word in line.split(" ")]
    return max(NARROWEST, *(len(text) for text in [*cells, *words]))


def _width(cells: Sequence[str]) -> int:
    return max(len(cell) for cell in cells) + 2


def _text_table(grid: Grid, indices: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in grid.header:
        table.add_column(Text(header), overflow="fold")
    table.add_column("", no_wrap=True)
    for index in indices:
        title = Text("\n".join(filter(None, heading(grid.columns[index]))))
        table.add_column(title, justify="right", width=_column_width(grid, index))
    for row in grid.rows:
        own = f"{OURS} ({row.seeds})" if row.seeds else OURS
        paper = [row.paper[index] for index in indices]
        source = Text(own)
        if any(row.paper):
            source.append(f"\n{PAPER}", "dim")
        cells = [_pair(_own(row, i, indices), paper_cell) for i, paper_cell in zip(indices, paper, strict=True)]
        table.add_row(*map(Text, row.label), source, *cells)
    return table


def _own(row: GridRow, index: int, shown: Sequence[int]) -> str:
    """Ours; what stands in its place goes into the first column of each part."""
    return row.state if row.state and index == shown[0] else row.ours[index]


def _pair(ours: str, paper: str) -> Text:
    cell = Text(ours)
    if paper:
        cell.append(f"\n{paper}", "dim")
    return cell


def to_csv(filled: Filled) -> str:
    """One line a row, unrounded: for each column ours (mean, sd, seeds) and the paper's (mean, std)."""
    columns = filled.table.columns
    header = [*filled.table.row_header, "sparsifier", "tasks", "budget", "meta_test", "state"]
    for column in columns:
        own = f" = {column.ours}" if column.ours else ""
        header += [f"{column.label} ({what})" for what in (f"ours{own}", "ours sd", "ours n", "paper", "paper std")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for line, shown in zip(filled.lines, Grid.of(filled).rows, strict=False):
        row = line.row
        cells: list[object] = [*row.label, row.sparsifier, " ".join(row.tasks), row.budget, row.meta_test, shown.state]
        for column in columns:
            ours, paper = filled.ours(line, column), row.published.get(column.id)
            cells += [ours.mean, ours.sd, ours.n] if ours else [None] * 3
            cells += [paper.mean, paper.std] if paper else [None] * 2
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def to_markdown(filled: Filled) -> str:
    """A pipe table with two lines a row, notes below."""
    grid = Grid.of(filled)
    header = [*grid.header, "", *("<br>".join(filter(None, heading(column))) for column in grid.columns)]
    rule = [*["---"] * (len(grid.header) + 1), *["---:"] * len(grid.columns)]
    lines = [[*label, source, *cells] for label, source, cells in _lines(grid)]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in [header, rule, *lines]]
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    below = "\n".join(f"* {note}" for note in (*grid.below, *grid.notes))
    source = "\n\n".join(grid.source)
    return f"**{grid.title}**\n\n{source}\n\n{table}\n\n{below}\n"


def to_latex(filled: Filled) -> str:
    """A booktabs tabular with two lines a row; what is said around the table goes into comments."""
    grid = Grid.of(filled)
    headings = [heading(column) for column in grid.columns]
    first = " & ".join(_tex(cell) for cell in (*grid.header, "", *(label for label, _ in headings)))
    second = " & ".join(_tex(cell) for cell in (*[""] * (len(grid.header) + 1), *(ours for _, ours in headings)))
    body = [" & ".join(_tex(cell) for cell in (*label, source, *cells)) for label, source, cells in _lines(grid)]
    comments = [f"% {line}" for line in (grid.title, *grid.source, *grid.below, *grid.notes)]
    shape = "l" * (len(grid.header) + 1) + "r" * len(grid.columns)
    rows = [first, second] if any(ours for _, ours in headings) else [first]
    return "\n".join(
        [
            *comments,
            rf"\begin{{tabular}}{{{shape}}}",
            r"\toprule",
            *(rf"{row} \\" for row in rows),
            r"\midrule",
            *(rf"{row} \\" for row in body),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _lines(grid: Grid) -> Iterator[tuple[Sequence[str], str, Sequence[str]]]:
    """Each row as one line of ours and one of the paper's: label, source, cells."""
    for row in grid.rows:
        shown = range(len(grid.columns))
        yield row.label, f"{OURS} ({row.seeds})" if row.seeds else OURS, [_own(row, index, shown) for index in shown]
        if any(row.paper):
            yield [""] * len(row.label), PAPER, row.paper


_TEX = {
    "\u00a0": "~",
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
    "±": r"$\pm$", MINUS: "$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≤": r"$\le$", "<": "$<$", "λ": r"$\lambda$",
    "Δ": r"$\Delta$", "δ": r"$\delta$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "τ": r"$\tau$", "×": r"$\times$",
}  # fmt: skip


def _tex(cell: str) -> str:
    return "".join(_TEX.get(character, character) for character in cell)
