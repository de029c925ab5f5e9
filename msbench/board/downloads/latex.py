"""A board's main table as LaTeX, for a paper: a booktabs tabular with the figures that the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msbench.board.comparison.ranking import BoardRows
from msbench.board.table.cells import Cell
from msbench.board.table.columns import Column
from msbench.board.table.tables import Line, MainTable, main_table

SHOWN: Final = ("rank", "task.", "delta", "worst", "sparsity", "parameters", "macs", "theoretical", "measured.")
"""Columns that the LaTeX table has, by the start of their key: what fits the width of a page."""
_ESCAPES: Final = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "\u2212": "$-$", "\u00b1": r"$\pm$", "\u00d7": r"$\times$", "\u00f7": r"$\div$", "\u0394": r"$\Delta$",
    "\u03bb": r"$\lambda$", "\u2191": r"$\uparrow$", "\u2193": r"$\downarrow$", "\u2260": r"$\neq$",
    "\u00b0": r"$^\circ$", "\u202f": r"\,", "\u00a0": "~", "\u2013": "--", "\u2014": "---", "\u2019": "'",
    "\u00b7": r"$\cdot$", "\u2026": r"\dots{}",
}  # fmt: skip
_TABLE: Final = str.maketrans(_ESCAPES)
_NOTED: Final = ("task.", "delta", "worst")
"""Columns whose first note, a metric with its direction or a unit, is worth a line of the head."""


def escape(text: str) -> str:
    """Text as LaTeX shows it, line breaks as spaces."""
    return " ".join(text.splitlines()).translate(_TABLE).replace(r"$\Delta$\_T", r"$\Delta_T$")


def board_latex(data: BoardRows) -> str:
    r"""The table; needs `\usepackage{booktabs}`. A best row is bold where the page sets it bold."""
    table = main_table(data)
    places = [place for place, column in enumerate(table.columns) if _wanted(column)]
    columns = [table.columns[place] for place in places]
    lines = [
        f"% {escape(data.board.title)}: mean and sample standard deviation over seeds. Made by msbench.",
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        _row(["Method", *(escape(column.title) for column in columns)]),
        _row(["", *(_unit(column) for column in columns)]),
        *_body(table, places),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _wanted(column: Column) -> bool:
    """What `SHOWN` names, where the page shows it too: no device that nothing was measured on."""
    return column.usual and column.key.startswith(SHOWN)


def _unit(column: Column) -> str:
    """A metric with its direction, or what a percentage is of."""
    if column.key == "sparsity":
        return escape(" ".join(column.notes))
    return escape(column.notes[0]) if column.key.startswith(_NOTED) else ""


def _body(table: MainTable, places: Sequence[int]) -> Iterable[str]:
    for section in table.sections:
        yield r"\midrule"
        if section.title:
            yield rf"\multicolumn{{{len(places) + 1}}}{{l}}{{\emph{{{escape(section.title)}}}}} \\"
        for line in section.lines:
            yield _row([_method(line), *_cells(line, places)])


def _method(line: Line) -> str:
    name = escape(line.row.sparsifier.name)
    return f"{name} ({escape(line.variant)})" if line.variant else name


def _cells(line: Line, places: Sequence[int]) -> list[str]:
    if not line.cells:
        status = ", ".join(dict.fromkeys(outcome.status for outcome in line.row.outcomes))
        return [rf"\multicolumn{{{len(places)}}}{{l}}{{{escape(status or 'no result')}}}"]
    return [_cell(line.cells[place]) for place in places]


def _cell(cell: Cell) -> str:
    main = escape(cell.main)
    main = rf"\textbf{{{main}}}" if cell.strong else main
    return f"{main} {{\\scriptsize {escape(cell.spread)}}}" if cell.spread else main


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
