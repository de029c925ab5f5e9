"""The LaTeX table: what a reader of the paper would see, and that no record can break it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows
from msbench.board.downloads.latex import board_latex, escape
from msbench.board.reading.load import Run
from msbench.records.record import Record
from tests.board.conftest import Factory

SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")


def rows_of(records: list[Record]) -> BoardRows:
    boards, _ = group([Run(record, None) for record in records])  # type: ignore[arg-type]
    return BoardRows.of(boards[0])


def test_the_table_is_a_booktabs_tabular_with_equal_rows(factory: Factory) -> None:
    lines = board_latex(rows_of(factory.scene())).splitlines()
    columns = re.fullmatch(r"\\begin\{tabular\}\{(l+r+)\}", lines[2])
    assert columns
    assert lines[3] == r"\toprule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    for line in lines:
        if line.endswith(r"\\"):
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == len(columns[1]), line


def test_the_figures_are_those_of_the_page(factory: Factory) -> None:
    table = board_latex(rows_of(factory.scene()))
    line = next(line for line in table.splitlines() if line.startswith(r"one\_shot\_magnitude"))
    assert re.search(r"& 1\.\d\d\$\\times\$", line), "a ratio"
    assert "$\\pm$" in line
    assert "Matched budget, structured" in table
    assert r"adapmtl & \multicolumn{" in table
    assert "GPU" not in table, "no run measured on one"
    assert "withheld" in next(line for line in table.splitlines() if line.startswith(r"group\_lasso"))


def test_escaping_a_hand_written_case() -> None:
    assert escape("50 % of a_b & {x} ~ ^ # $ \\") == (
        r"50 \% of a\_b \& \{x\} \textasciitilde{} \textasciicircum{} \# \$ \textbackslash{}"
    )
    assert escape("Δ_T −1 ±2 3×") == r"$\Delta_T$ $-$1 $\pm$2 3$\times$"
    assert escape("a\nb\r\nc") == "a b c"


@given(st.text(alphabet="ab&%$#_{}~^\\ \n", max_size=30))
def test_escaped_text_can_be_read_back(text: str) -> None:
    """Undoing each command gives the text again, so nothing is lost and nothing is left that LaTeX would obey."""
    found = escape(text)
    commands = {"textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^"}
    parts = re.split(r"\\(textbackslash\{\}|textasciitilde\{\}|textasciicircum\{\}|[&%$#_{}])", found)
    assert not any(SPECIAL.search(plain) or "\\" in plain for plain in parts[::2])
    back = "".join(commands.get(part, part) if index % 2 else part for index, part in enumerate(parts))
    assert back == " ".join(text.splitlines())
