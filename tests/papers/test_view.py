"""A filled table as a page: ours, the published value, and the difference where both are the same figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from msbench.board.library.shelf import Library, Papers
from msbench.board.site.build import build
from msbench.papers.fill import Filled
from msbench.papers.schema import PaperTable, names
from msbench.papers.view import papers, view
from msbench.records.record import Record, write_record
from tests.papers.conftest import UNPRUNED


def test_ours_less_the_published_value_where_both_are_one_figure(
    table: PaperTable, plan: Any, record: Callable[..., Record], filled: Callable[..., Filled]
) -> None:
    made = view(filled(table, [record(run) for run in plan(table)]))
    by_label = {line.label: line for line in made.lines}
    iou, absolute, total, sparsity = by_label["magnitude", "same"].cells
    assert iou.ours
    assert iou.published == "0.2500 ± 0.0200"
    assert iou.difference == "", "ours is another figure"
    assert absolute.difference == ""
    assert total.difference == "+9.50"
    assert (sparsity.published, sparsity.difference) == ("", "")
    assert by_label["meta", "same"].cells[3].difference == "0.00"
    assert by_label["meta", "same"].runs[0][1] == 0
    assert by_label["constant predictor", ""].cells[1].ours
    assert (made.complete, made.rows) == (5, 5)
    assert made.warnings[0][0] == "Smoke run"


def test_nothing_to_show_leaves_published_values_and_the_command(
    table: PaperTable, filled: Callable[..., Filled]
) -> None:
    made = view(filled(table, []))
    assert (made.complete, made.rows, made.newest, made.warnings) == (0, 5, "", ())
    assert made.lines[0].cells[0].published == "0.3000 ± 0.0100"
    assert made.command == "msbench run --preset papers/made_up --seeds 3 -d rooms_xs"
    assert not any(made.command in line for line in made.below)


def test_every_preset_is_listed_and_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    folder = build(tmp_path / "runs", tmp_path / "site", Library(papers=papers(UNPRUNED))).parent
    index = (folder / "papers.html").read_text()
    assert len(names()) == 12
    for name in names():
        assert f'href="{name}.html"' in index
        page = (folder / f"{name}.html").read_text()
        assert f"msbench run --preset {name} --seeds 3" in page
        assert "No run here fills it yet" in page


@pytest.fixture
def page(
    table: PaperTable, plan: Any, record: Callable[..., Record], filled: Callable[..., Filled], tmp_path: Path
) -> str:
    """The page of the made-up table, filled but for one row."""
    records = [record(run) for run in plan(table)]
    records = [found for found in records if not found.meta_test]
    for found in records:
        folder = tmp_path / "runs" / found.run_id
        folder.mkdir(parents=True)
        write_record(found, folder / "record.json")
    library = Library(papers=Papers({table.preset: "x"}, lambda known: [view(filled(table, known))]))
    site = build(tmp_path / "runs", tmp_path / "site", library).parent
    assert all((site / "runs" / f"{found.run_id}.html").is_file() for found in records)
    return (site / "papers" / "made_up.html").read_text()


def test_the_page_has_the_papers_shape_and_says_what_cannot_be_compared(page: str) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "IoU ↑ ours: micro IoU" in text
    assert "diff +9.50" in text
    assert "depth is relative there | and not here" in text
    assert "Smoke run." in text
    assert "What is missing, row by row: 1 magnitude, with normals" in text
    assert "not run" in text
    assert re.search(r'<a href="../runs/[^"]+" aria-label="Run with seed 0">0</a>', page)
