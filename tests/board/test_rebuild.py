"""Building again after a change makes what building from nothing makes: no page is kept that could differ."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from msbench.board.site.build import build_site
from msbench.board.site.ledger import LEDGER
from msbench.records.record import Record
from tests.board.conftest import FACES, Factory

Place = tuple[str | int, ...]


def _records(factory: Factory) -> list[Record]:
    """Two boards, matched and shared budgets, a superseded run, one that failed and one without a board."""
    scene = [
        factory.record("dense", seed, mode="natural")
        if name == "dense"
        else factory.record(name, seed, mode="share", share=0.5, quality=quality)
        for name, quality in (("dense", 100.0), ("random", 90.0), ("snip", 95.0))
        for seed in range(3)
    ]
    older = factory.record("snip", 0, mode="share", share=0.5, run_id="snip-older", created="2024-01-01T00:00:00Z")
    faces = [factory.record("dense", tasks=FACES, mode="natural"), factory.record("random", tasks=FACES)]
    return [*scene, older, *faces, factory.failed("adapmtl"), factory.early("set")]


def _elsewhere(folder: Path, place: Path) -> None:
    """The same run as another machine measured it."""
    found = json.loads((folder / "record.json").read_text())
    found["environment"]["cpu"] = {"model": "Another CPU"}
    place.mkdir()
    (place / "record.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def before(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and its leaderboard: the folder of both."""
    folder = tmp_path_factory.mktemp("before")
    runs = factory.save(_records(factory), folder / "runs")
    first = next(path for path in sorted(runs.iterdir()) if path.name.startswith("random"))
    _elsewhere(first, runs / f"{first.name}@other")
    factory.save([factory.record("dense", mode="natural")], folder / "extras", extras=True)
    shutil.copy(
        folder / "extras" / "dense-segmentation-natural-0" / "history.parquet", runs / "dense-segmentation-natural-0"
    )
    assert not build_site(runs, folder / "site").loaded.unreadable
    return folder


@pytest.fixture
def store(before: Path, tmp_path: Path) -> Path:
    """A copy to be changed; the leaderboard's files keep their times, which its ledger knows."""
    return Path(shutil.copytree(before, tmp_path / "store"))


def _bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a leaderboard but its notes for itself, which hold times."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != LEDGER)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.suffix != ".js"}


def _check(store: Path) -> tuple[str, ...]:
    """Build on what is there, and from nothing; the files that the first of the two made."""
    made = build_site(store / "runs", store / "site").made
    build_site(store / "runs", store / "fresh")
    again, fresh = _bytes(store / "site"), _bytes(store / "fresh")
    assert sorted(again) == sorted(fresh)
    assert [name for name in fresh if again[name] != fresh[name]] == []
    return made


def _leaves(value: Any, path: Place = ()) -> Iterator[Place]:
    """The place of everything in a record that is neither a mapping nor a list, and of every part of a list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        yield path
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path


def _other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 1.5 + 0.25
        case str():
            return f"{value} <b>"
        case list():
            return value[1:] or ["new"]
    return None


def _change(path: Path, place: Place) -> None:
    record = json.loads(path.read_text())
    part = record
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = _other(part[place[-1]])
    path.write_text(json.dumps(record))


def _change_any(store: Path, number: int) -> None:
    chance = random.Random(number)
    path = chance.choice(sorted(store.glob("runs/*/record.json")))
    places = [place for place in _leaves(json.loads(path.read_text())) if place[0] != "schema_version"]
    part = chance.choice(sorted({str(place[0]) for place in places}))  # else layers, of which there are most
    _change(path, chance.choice([place for place in places if place[0] == part]))


@pytest.mark.parametrize("number", range(8))
def test_any_value_of_any_record_may_change(store: Path, number: int) -> None:
    _change_any(store, number)
    assert _check(store)


@pytest.mark.long
@pytest.mark.parametrize("number", range(8, 80))
def test_many_values_of_many_records_may_change(store: Path, number: int) -> None:
    _change_any(store, number)
    assert _check(store)


def _remove(runs: Path) -> None:
    shutil.rmtree(runs / "random-segmentation-share-1")


def _rename(runs: Path) -> None:
    (runs / "random-segmentation-share-1").rename(runs / "zzz")


def _damage(runs: Path) -> None:
    (runs / "snip-segmentation-share-2" / "record.json").write_text("{")


def _measure_elsewhere(runs: Path) -> None:
    _elsewhere(runs / "snip-segmentation-share-2", runs / "elsewhere")


def _remove_a_board(runs: Path) -> None:
    for path in runs.glob("*smiling*"):
        shutil.rmtree(path)


def _log(runs: Path) -> None:
    (runs / "dense-segmentation-natural-0" / "log.txt").write_text("finished\n")


def _history(runs: Path) -> None:
    """The board draws what a run logged while it trained."""
    shutil.copy(runs / "dense-segmentation-natural-0" / "history.parquet", runs / "random-segmentation-share-2")


def _reseed(runs: Path) -> None:
    """What other runs' pages say of a run: its seed, which is not its name."""
    _change(runs / "snip-segmentation-share-2" / "record.json", ("seed",))


def _lose_metrics(runs: Path) -> None:
    path = runs / "snip-segmentation-share-2" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {}}))


@pytest.mark.parametrize(
    "change",
    [_remove, _rename, _damage, _measure_elsewhere, _remove_a_board, _log, _history, _reseed, _lose_metrics],
)
def test_any_run_may_change(store: Path, change: Callable[[Path], None]) -> None:
    change(store / "runs")
    _check(store)


def test_one_more_seed_makes_few_pages_again(store: Path, factory: Factory) -> None:
    factory.save([factory.record("random", 7, mode="share", share=0.5, quality=90)], store / "runs")
    made = _check(store)
    assert "methods/random.html" in made
    assert "methods/adapmtl.html" not in made
