"""Bytes that should be a record: a valid one, or one line that names the file. Nothing else, however broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msbench.board.reading.load import load
from msbench.errors import UserError
from msbench.records.record import Record, read_record
from tests.fuzz.mutations import mutated

GOOD = (Path(__file__).parents[1] / "runs" / "records" / "v2" / "matched.json").read_bytes()
SHARED = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def record_or_line(path: Path) -> Record | None:
    try:
        return read_record(path)
    except UserError as error:
        line = str(error)
    assert line.startswith(f"{path}: ")
    assert len(line.splitlines()) == 1
    return None


def check_bytes(raw: bytes, folder: Path) -> None:
    path = folder / "runs" / "x" / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    record = record_or_line(path)
    loaded = load(folder / "runs")
    assert len(loaded.runs) + len(loaded.unreadable) == 1
    assert record is not None or loaded.unreadable


@settings(max_examples=150, **SHARED)
@given(raw=mutated(GOOD))
def test_mutated_bytes(raw: bytes, tmp_path: Path) -> None:
    check_bytes(raw, tmp_path)


@pytest.mark.long
@settings(max_examples=10_000, **SHARED)
@given(raw=mutated(GOOD))
def test_many_mutated_bytes(raw: bytes, tmp_path: Path) -> None:
    check_bytes(raw, tmp_path)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = places(json.loads(GOOD))[1:]


@settings(max_examples=150, **SHARED)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_value_anywhere(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    found = json.loads(GOOD)
    node = found
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    check_bytes(json.dumps(found).encode(), tmp_path)
