"""Figures as PDF files."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure as Canvas
from typer.testing import CliRunner

from msbench.board.comparison.grouping import group
from msbench.board.comparison.ranking import BoardRows
from msbench.board.plots import Figure, board_figures, pdf, run_figures
from msbench.board.plots.frame import View, plotly_json
from msbench.board.plots.pdf import _draw, _palette, write_pdfs
from msbench.board.reading.load import load
from msbench.board.site.build import build_site
from msbench.cli.main import app
from msbench.errors import UserError
from tests.board.conftest import Factory


def view_of(trace: dict[str, object]) -> View:
    return View("a b/c", "name", plotly_json([trace], "x", "y"), ("X",), [["1"]])


def test_every_figure_of_a_board_and_a_run_becomes_vectors(site: Path, tmp_path: Path) -> None:
    loaded = load(site.parent / "runs")
    boards, _ = group(loaded.runs)
    run = next(run for run in loaded.runs if run.record.sparsifier.name == "random")
    figures = [figure for figure in board_figures(BoardRows.of(boards[0])) if figure.key in ("front", "budget")]
    figures += [figure for figure in run_figures(run) if figure.key == "layers"]
    written = write_pdfs(figures, tmp_path / "pdf")
    assert sorted(path.name for path in (tmp_path / "pdf").iterdir()) == sorted(path.name for path in written)
    assert len(written) == sum(len(figure.views) for figure in figures)
    for path in written:
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        assert b"/Subtype /Image" not in content
        assert content.count(b"/Type /Page ") == 1


def test_a_trace_is_drawn_at_its_numbers_in_its_colour() -> None:
    axes = Canvas().subplots()
    trace = {
        "type": "scatter", "name": "a", "mode": "lines+markers", "x": [1, 2], "y": [3.0, None],
        "marker": {"symbol": "star"}, "line": {"dash": "dot", "shape": "vh"}, "meta": {"color": 1},
    }  # fmt: skip
    _draw(axes, trace, _palette())
    (line,) = axes.lines
    assert line.get_xdata()[0] == 1
    assert line.get_ydata()[0] == 3.0
    assert (line.get_color(), line.get_marker(), line.get_linestyle()) == ("#fb3b16", "*", ":")
    assert line.get_drawstyle() == "steps-pre"


def test_palette_has_a_place_for_every_method() -> None:
    assert {*map(str, range(8)), "mute", "ink"} <= set(_palette())


def test_same_figure_same_file_under_a_safe_name(tmp_path: Path) -> None:
    trace = {"type": "scatter", "name": "a", "mode": "markers", "x": [1], "y": [2], "meta": {"color": 0}}
    figure = Figure("quality", "", "", "", [view_of(trace)])
    first, second = (write_pdfs([figure], tmp_path / name)[0] for name in "ab")
    assert first.name == "quality-a-b-c.pdf"
    assert first.read_bytes() == second.read_bytes()


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'msbench\[pdf\]'"):
        write_pdfs([], tmp_path)


def test_the_command_writes_a_folder_a_board(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_names(figures: list[Figure], folder: Path) -> list[Path]:
        return [folder / figure.key for figure in figures]

    monkeypatch.setattr("msbench.board.plots.pdf.write_pdfs", only_names)
    result = CliRunner().invoke(app, ["leaderboard", "figures", "--results", str(site.parent), "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "6 figures in " in result.output


def test_the_command_writes_those_of_one_run(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "msbench.board.plots.pdf.write_pdfs",
        lambda figures, folder: [asked.append(f"{folder.name}/{figure.key}") or folder for figure in figures],
    )
    words = ["leaderboard", "figures", "--records", str(site.parent / "runs"), "-o", str(tmp_path)]
    name = "random-segmentation-matched-0"
    assert CliRunner().invoke(app, [*words, "--run", name]).exit_code == 0
    assert f"{name}/layers" in asked
    assert all(line.startswith(f"{name}/") for line in asked)
    result = CliRunner().invoke(app, [*words, "--run", "random"])
    assert isinstance(result.exception, UserError)
    assert "fits 3 runs" in str(result.exception)


def test_pages_link_the_files_of_their_figures(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def draw(view: View, palette: object) -> bytes:
        drawn.append(view.name)
        return b"%PDF-"

    monkeypatch.setattr(pdf, "draw_pdf", draw)
    monkeypatch.setattr(pdf, "SHARE", 10_000)
    runs = factory.save(factory.scene(1), tmp_path / "runs")
    index = build_site(runs, tmp_path / "site").index
    assert ".pdf" not in index.read_text()
    assert not drawn
    index = build_site(runs, tmp_path / "site", figures=True).index
    links = re.findall(r'href="(figures/[^"]+\.pdf)"', index.read_text())
    assert len(links) == len(set(links)) == len(drawn) > 5
    assert all((index.parent / link).read_bytes() == b"%PDF-" for link in links)
    assert build_site(runs, tmp_path / "site", figures=True).made == ()
    assert len(drawn) == len(links)


def test_processes_draw_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = {"type": "scatter", "name": "a", "mode": "markers", "x": [1], "y": [2], "meta": {"color": 0}}
    views = [replace(view_of(trace), key=str(index), height=200 + index) for index in range(4)]
    figure = Figure("quality", "", "", "", views)
    one = pdf.pdf_files([figure])
    monkeypatch.setattr(pdf, "SHARE", 1)
    monkeypatch.setattr(pdf, "processors", lambda: 2)
    assert pdf.pdf_files([figure]) == one
    assert len(set(one.values())) == 4


def test_the_command_needs_runs(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["leaderboard", "figures", "--results", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "no runs there" in str(result.exception)
