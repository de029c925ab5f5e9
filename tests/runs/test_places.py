"""Paths of a machine: what is left of them in a record that others read, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msbench.records.record import Record, read_record
from msbench.runs.places import command_without_places, placeless, restored

RECORD = Path(__file__).parent / "records" / "v2" / "ok.json"


def record_with(**changes: Any) -> Record:
    values = read_record(RECORD).model_dump()
    return Record.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("msbench run -d camvid data.root=/home/joe/camvid", "msbench run -d camvid data.root=FOLDER"),
        ("msbench run data.root='/home/joe/my data' x=1", "msbench run data.root=FOLDER x=1"),
        ("msbench run --plugin /srv/joe/mine.py -s mine", "msbench run --plugin FOLDER/mine.py -s mine"),
        ("msbench run --plugin /home/joe.doe", "msbench run --plugin FOLDER"),
        ("msbench run -s 'kept[mask=/home/joe/a,b=1]'", "msbench run -s 'kept[mask=FOLDER,b=1]'"),
        (r"msbench run data.root='C:\Users\joe\camvid'", "msbench run data.root=FOLDER"),
        ("msbench run data.root=~/camvid", "msbench run data.root=FOLDER"),
        ("msbench run 'parts=[/a/b.npy,/a/c]'", "msbench run 'parts=[FOLDER/b.npy,FOLDER]'"),
    ],
)
def test_a_command_says_where_a_folder_of_ones_own_belongs(command: str, told: str) -> None:
    assert command_without_places(command) == told


@pytest.mark.parametrize(
    "command", ["msbench run -s a --preset papers/x data.root=../camvid", "url=https://a.org/b", "a 'b"]
)
def test_what_is_no_absolute_path_stays(command: str) -> None:
    assert command_without_places(command) == command


@given(st.lists(st.sampled_from("abcxyz019 ._-"), min_size=1, max_size=20))
def test_no_name_of_a_home_folder_is_left(letters: list[str]) -> None:
    name = "Q" + "".join(letters).strip()
    record = record_with(
        command=f"msbench run 'data.root=/home/{name}/data'",
        config={"data": {"params": {"root": f"/home/{name}/data"}}, "list": [f"/home/{name}"]},
    )
    assert name not in placeless(record).model_dump_json()


def test_only_paths_change() -> None:
    record = record_with(
        command="msbench run data.root=/data/x",
        config={"data": {"params": {"root": "/data/x", "height": 90}}, "note": "in /home/joe/x it failed"},
        reason="no such file: /home/joe/x",
    )
    told = placeless(record)
    assert told.config == {"data": {"params": {"root": "FOLDER", "height": 90}}, "note": "in ~/x it failed"}
    assert told.reason == "no such file: ~/x"
    rest = {"command", "config", "reason"}
    assert told.model_dump(exclude=rest) == record.model_dump(exclude=rest)
    assert placeless(told) is told
    assert restored(told, record) == record


def test_a_record_without_paths_is_the_very_same() -> None:
    record = read_record(RECORD)
    assert placeless(record) is record


def test_what_else_differs_is_not_put_back() -> None:
    own = record_with(command="msbench run data.root=/data/x", config={"root": "/data/x", "seed": 1})
    claimed = placeless(own).model_copy(
        update={"config": {"root": "FOLDER", "seed": 2, "more": 3}, "seed": own.seed + 1}
    )
    found = restored(claimed, own)
    assert found.config == {"root": "/data/x", "seed": 2, "more": 3}
    assert found.seed == own.seed + 1
    assert found.command == own.command
