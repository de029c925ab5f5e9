from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from msbench.board.site import build as build_module
from msbench.board.site.build import build
from msbench.errors import UserError
from msbench.records.record import Record
from tests.board.conftest import FACES, Factory

Built = Callable[[list[Record]], Path]


def _texts(folder: Path) -> dict[str, str]:
    """Every text below a folder, but for what builds note there for themselves."""
    paths = [path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".webp"]
    return {str(path.relative_to(folder)): path.read_text() for path in paths if path.name != "plotly.min.js"}


def test_one_board_is_the_index_and_every_run_has_a_page(site: Path, factory: Factory) -> None:
    (every_metric,) = (site / "boards").iterdir()
    assert every_metric.name.endswith("-metrics.html")
    pages = {path.stem for path in (site / "runs").glob("*.html")}
    assert pages == {record.run_id for record in factory.scene()}


def test_several_boards_have_pages_of_their_own(factory: Factory, built: Built) -> None:
    folder = built([*factory.scene(1), factory.record("random", tasks=FACES)])
    index = (folder / "index.html").read_text()
    pages = sorted(page for page in (folder / "boards").glob("*.html") if "-metrics" not in page.name)
    assert len(pages) == 2
    assert all(f'href="boards/{page.name}"' in index for page in pages)


def test_every_local_link_leads_to_a_file(site: Path) -> None:
    for name, html in _texts(site).items():
        if not name.endswith(".html"):
            continue
        for link in re.findall(r'(?:href|src)="([^"#]+)"', html):
            if not link.startswith(("https://", "data:")):
                assert ((site / name).parent / link).exists(), f"{name}: {link}"


def test_nothing_is_fetched_from_the_network(site: Path) -> None:
    """Only plain links to papers may leave the folder: no sources, style sheets, imports or url()."""
    for name, text in _texts(site).items():
        assert not re.search(r"""\bsrc\s*=\s*["']?\s*(https?:)?//""", text), name
        assert not re.search(r"<link[^>]+href=[\"']?(https?:)?//", text), name
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text), name
        if name.endswith((".css", ".js")):
            assert "//" not in re.sub(r"^//.*$|/\*.*?\*/", "", text, flags=re.M | re.S), name


def test_pages_are_small(site: Path) -> None:
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file() and path.name != "plotly.min.js")
    assert size < 2_000_000
    assert (site / "index.html").stat().st_size < 300_000


def test_data_json_holds_every_record_with_a_version(site: Path, factory: Factory) -> None:
    data = json.loads((site / "data.json").read_text())
    assert data["schema_version"] == 1
    assert {record["run_id"] for record in data["records"]} == {record.run_id for record in factory.scene()}
    assert all(Record.model_validate(record) for record in data["records"])


def test_csv_has_a_line_for_every_row_with_full_precision(site: Path) -> None:
    lines = list(csv.DictReader(next((site / "csv").glob("*.csv")).open()))
    assert lines[0]["sparsifier"] == "dense"
    by_name = {line["sparsifier"]: line for line in lines}
    assert set(by_name) == {"dense", "meta_sparsity", "one_shot_magnitude", "random", "group_lasso", "adapmtl"}
    assert by_name["random"]["n"] == "3"
    assert len(by_name["random"]["segmentation.miou"]) > 10
    assert by_name["group_lasso"]["speedup_theoretical"] == ""
    assert by_name["adapmtl"]["reason"] == "failed, seeds 0–2: out of memory"


def test_csv_text_cannot_become_a_formula(factory: Factory, built: Built) -> None:
    folder = built([factory.record("random", command="x"), factory.failed("=HYPERLINK(1)", run_id="formula")])
    lines = list(csv.DictReader(next((folder / "csv").glob("*.csv")).open()))
    assert lines[-1]["sparsifier"] == "'=HYPERLINK(1)"


def test_an_invalid_record_is_listed_and_stops_nothing(factory: Factory, tmp_path: Path) -> None:
    runs = factory.save([factory.record("random")], tmp_path / "runs")
    (runs / "broken").mkdir()
    (runs / "broken" / "record.json").write_text('{"seed": "<b>x"}')
    html = build(runs, tmp_path / "out").read_text()
    assert "Unreadable records" in html
    assert "broken" in html


def test_no_runs_make_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    html = build(tmp_path / "none", tmp_path / "out").read_text()
    assert "msbench run" in html


def test_a_run_without_its_other_files_still_has_a_page(factory: Factory, built: Built) -> None:
    html = (built([factory.record("random")]) / "runs" / "random-segmentation-matched-0.html").read_text()
    assert "left no history" in html
    assert "<img" not in html


def test_damaged_history_is_said_on_the_page(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    runs = factory.save([record], tmp_path / "runs")
    (runs / record.run_id / "history.parquet").write_bytes(b"not parquet")
    build(runs, tmp_path / "out")
    assert "history.parquet cannot be read" in (tmp_path / "out" / "runs" / f"{record.run_id}.html").read_text()


def test_equal_records_give_equal_folders(factory: Factory, tmp_path: Path) -> None:
    runs = factory.save(factory.scene(1), tmp_path / "runs", extras=True)
    first, second = (build(runs, tmp_path / name).parent for name in ("first", "second"))
    assert _texts(first) == _texts(second)


def test_rebuilding_replaces_the_folder_and_leaves_nothing_else(factory: Factory, tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    build(factory.save([factory.record("random", 0)], runs), out)
    (out / "runs" / "stale.html").write_text("old")
    build(factory.save([factory.record("random", 1)], runs), out)
    assert not (out / "runs" / "stale.html").exists()
    assert (out / "runs" / "random-segmentation-matched-1.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out", "runs"]


def test_the_old_folder_stays_whole_when_building_fails(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = factory.save([factory.record("random")], tmp_path / "runs"), tmp_path / "out"
    build(runs, out)
    before = _texts(out)

    def break_down(*arguments: object) -> str:
        raise RuntimeError("disk full")

    monkeypatch.setattr(build_module, "data_json", break_down)
    factory.save([factory.record("random", 1)], runs)
    with pytest.raises(RuntimeError):
        build(runs, out)
    assert _texts(out) == before
    assert not list(tmp_path.glob(".out.building"))


def test_a_folder_of_something_else_is_never_replaced(factory: Factory, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("years")
    with pytest.raises(UserError, match="is not a leaderboard folder"):
        build(factory.save([factory.record("random")], tmp_path / "runs"), precious)
    assert (precious / "chapter1.tex").read_text() == "years"
