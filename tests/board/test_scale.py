"""A thousand records: what is rendered after a change, what is taken over, and that nothing stale is ever trusted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from msbench.board.site import ledger, render
from msbench.board.site.build import Built, build_site
from msbench.board.site.ledger import LEDGER
from msbench.records.record import write_record
from tests.board.conftest import Factory
from tests.board.synthetic import on_board, records, write


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 boards x 9 methods x 4 levels x 8 seeds, and its leaderboard: the folder of both."""
    folder = tmp_path_factory.mktemp("scale")
    count = write(records(boards=4, methods=9, levels=4, seeds=8), folder / "runs")
    assert count > 1000
    built = build_site(folder / "runs", folder / "site")
    assert not built.loaded.unreadable
    assert len(built.made) > count
    return folder


@pytest.fixture
def again(store: Path) -> Iterator[Path]:
    """The store, back as it was after the test."""
    before = {path.name for path in (store / "runs").iterdir()}
    yield store
    for path in (store / "runs").iterdir():
        if path.name not in before:
            shutil.rmtree(path)
    build_site(store / "runs", store / "site")


def _build(store: Path) -> Built:
    return build_site(store / "runs", store / "site")


def test_without_a_change_nothing_is_made(store: Path) -> None:
    assert _build(store).made == ()


def test_one_more_record_touches_its_board_method_and_row_only(again: Path) -> None:
    extra = on_board(1, Factory().record("method_03", 99, mode="share", share=0.5), "extra", 99)
    (again / "runs" / "extra").mkdir()
    write_record(extra, again / "runs" / "extra" / "record.json")
    made = _build(again).made
    runs = {path for path in made if path.startswith("runs/")}
    assert "runs/extra.html" in runs
    assert all("method_03-b1-0.5" in path for path in runs - {"runs/extra.html"})
    assert len([path for path in made if path.startswith("boards/")]) == 2  # and the one with every metric
    assert {"index.html", "data.json"} <= set(made)
    assert len(made) < 60


def test_a_page_that_was_changed_by_hand_is_made_again(store: Path) -> None:
    page = next((store / "site" / "runs").glob("*.html"))
    whole = page.read_text()
    page.unlink()
    page.write_text(whole + "<!-- mine -->")
    assert _build(store).made == (f"runs/{page.name}",)
    assert page.read_text() == whole


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"made_by": 1}', '{"files": {"../../x": {}}}'])
def test_a_damaged_ledger_is_not_trusted(factory: Factory, tmp_path: Path, damage: str) -> None:
    runs = factory.save([factory.record("random")], tmp_path / "runs")
    every = build_site(runs, tmp_path / "site").made
    (tmp_path / "site" / LEDGER).write_text(damage)
    assert build_site(runs, tmp_path / "site").made == every


def test_a_record_changed_in_place_with_the_same_size_and_time_is_noticed(factory: Factory, tmp_path: Path) -> None:
    import os

    record = factory.record("random")
    path = factory.save([record], tmp_path / "runs") / record.run_id / "record.json"
    build_site(tmp_path / "runs", tmp_path / "site")
    status = path.stat()
    path.write_text(path.read_text().replace("msbench run", "msbench RUN"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert f"runs/{record.run_id}.html" in build_site(tmp_path / "runs", tmp_path / "site").made


def test_a_ledger_cannot_vouch_for_a_record_that_is_not_valid(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    path = factory.save([record], tmp_path / "runs") / record.run_id / "record.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": "many"'))
    build_site(tmp_path / "runs", tmp_path / "site")
    file = tmp_path / "site" / LEDGER
    found = json.loads(file.read_text())
    found["records"] = [ledger.hashlib.sha256(path.read_bytes()).hexdigest()]
    file.write_text(json.dumps(found))
    assert len(build_site(tmp_path / "runs", tmp_path / "site").loaded.unreadable) == 1


def test_other_code_makes_everything_again(factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = factory.save([factory.record("random")], tmp_path / "runs")
    every = build_site(runs, tmp_path / "site").made
    monkeypatch.setattr(ledger, "fingerprint", lambda: "other")
    assert build_site(runs, tmp_path / "site").made == every


def test_an_interrupted_swap_is_recovered(factory: Factory, tmp_path: Path) -> None:
    runs = factory.save([factory.record("random")], tmp_path / "runs")
    build_site(runs, tmp_path / "site")
    (tmp_path / "site").rename(tmp_path / ".site.old")
    assert build_site(runs, tmp_path / "site").made == ()
    assert not (tmp_path / ".site.old").exists()


def test_processes_make_the_same_pages_as_one(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = factory.save(factory.scene(), tmp_path / "runs", extras=True)
    one = build_site(runs, tmp_path / "one").index.parent
    monkeypatch.setattr(render, "SHARE", 2)
    monkeypatch.setattr(render, "processors", lambda: 3)
    many = build_site(runs, tmp_path / "many").index.parent
    pages = sorted(path.relative_to(one) for path in one.rglob("*.html"))
    assert pages == sorted(path.relative_to(many) for path in many.rglob("*.html"))
    assert all((one / page).read_text() == (many / page).read_text() for page in pages)
