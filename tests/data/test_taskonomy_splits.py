"""Which views are in which part of Taskonomy, and trees that leave a part or a task without files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msbench.data.dataset import PARTS
from msbench.errors import UserError
from msbench_plugins.datasets.taskonomy.dataset import Taskonomy
from msbench_plugins.datasets.taskonomy.layout import View
from msbench_plugins.datasets.taskonomy.splits import TINY, at_random, read_csv
from tests.data.taskonomy_trees import write_csv, write_json, write_tree


def buildings(root: Path, **fields: Any) -> dict[str, set[str]]:
    dataset = Taskonomy(root=str(root), **fields)
    return {part: {item.name.split("/")[0] for item in items} for part, items in dataset.index(root).items()}


def test_the_official_parts_have_25_5_and_5_buildings() -> None:
    assert [len(TINY[part]) for part in PARTS] == [25, 5, 5]
    assert len({name for names in TINY.values() for name in names}) == 35


def test_buildings_outside_of_tiny_are_not_read(tmp_path: Path) -> None:
    root = write_tree(tmp_path, count=1)
    assert buildings(root) == {"train": {"hanson", "merom"}, "validation": {"corozal"}, "test": {"mcdade"}}


@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n"])
def test_a_list_decides_whatever_its_line_ends(tmp_path: Path, ends: str) -> None:
    root = write_tree(tmp_path / "tree", count=1)
    parts = {"adrian": "train", "hanson": "val", "merom": "test", "corozal": "", "elsewhere": "train"}
    file = write_csv(tmp_path / "mine.csv", parts, ends)
    found = buildings(root, split="csv", split_file=str(file))
    assert found == {"train": {"adrian"}, "validation": {"hanson"}, "test": {"merom"}}


@given(
    parts=st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=6), st.sampled_from(["train", "val", "test"]), min_size=1
    ),
    ends=st.sampled_from(["\r", "\n", "\r\n"]),
)
@settings(max_examples=40, deadline=None)
def test_a_list_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, parts: dict[str, str], ends: str
) -> None:
    file = write_csv(tmp_path_factory.mktemp("csv") / "list.csv", parts, ends)
    found = read_csv(file)
    columns = {"train": "train", "val": "validation", "test": "test"}
    assert {name: part for part in PARTS for name in found[part]} == {n: columns[p] for n, p in parts.items()}


@pytest.mark.parametrize("layout", ["building_first", "domain_first"])
def test_the_json_list_holds_in_both_orders_and_validation_is_of_whole_buildings(tmp_path: Path, layout: str) -> None:
    root = write_tree(tmp_path, layout, count=2)
    write_json(root / "taskonomy.json", ["hanson", "merom", "corozal"], ["mcdade"], 2, layout)
    found = buildings(root, split="json")
    assert found["train"] | found["validation"] == {"hanson", "merom", "corozal"}
    assert len(found["validation"]) == 1
    assert found["test"] == {"mcdade"}
    assert buildings(root, split="json") == found


def test_one_building_is_split_by_point_so_that_views_of_a_point_stay_together(tmp_path: Path) -> None:
    root = write_tree(tmp_path, "flat", buildings=("",), count=16)
    index = Taskonomy(root=str(root), split="random").index(root)
    points = {part: {item.name.split("_view_")[0] for item in index[part]} for part in PARTS}
    assert {part: len(index[part]) for part in PARTS} == {"train": 12, "validation": 2, "test": 2}
    assert [len(points[part]) for part in PARTS] == [6, 1, 1]
    assert len(set.union(*points.values())) == 8
    with pytest.raises(UserError, match=r"split tiny leaves no view for train.*data\.split=random"):
        Taskonomy(root=str(root)).index(root)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=3, max_size=12),
    seed=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_the_random_split_is_complete_and_parts_no_building(sizes: list[int], seed: Any) -> None:
    views = [View(f"b{number}", point, 0) for number, size in enumerate(sizes) for point in range(size)]
    split = at_random(views)
    mixed = list(views)
    seed.shuffle(mixed)
    assert at_random(mixed) == split
    assert sorted(view for part in PARTS for view in split[part]) == sorted(views)
    names = [{view.building for view in split[part]} for part in PARTS]
    assert all(names)
    assert sum(map(len, names)) == len(sizes)


@pytest.mark.parametrize(
    ("spoil", "fields", "message"),
    [
        (lambda r: shutil.rmtree(r / "edge_texture"), {}, r"no folder edge_texture or edge2d.*data\.targets"),
        (
            lambda r: shutil.rmtree(r / "rgb/taskonomy/corozal"),
            {},
            r"no view for validation.*wiconisco.*rgb 3.*edges 4",
        ),
        (lambda r: shutil.rmtree(r / "rgb"), {}, r"no folder of pictures; expected rgb/taskonomy/BUILDING"),
        (lambda r: None, {"split": "csv"}, r"data\.split_file: .*train_val_test_tiny\.csv is missing"),
        (lambda r: None, {"split": "json"}, r"data\.split_file: .*taskonomy\.json is missing"),
        (lambda r: (r / "taskonomy.json").write_text("[]"), {"split": "json"}, r"taskonomy\.json: not lists of files"),
        (
            lambda r: (r / "taskonomy.json").write_text('{"train": [["a.png"]], "test": []}'),
            {"split": "json"},
            r"names no view",
        ),
        (
            lambda r: (r / "train_val_test_tiny.csv").write_text("id,train,val,test\na,1,1,0"),
            {"split": "csv"},
            r"csv: line 2",
        ),
        (lambda r: (r / "train_val_test_tiny.csv").write_text("nothing"), {"split": "csv"}, r"names no building"),
    ],
)
def test_what_is_missing_is_named_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], fields: dict[str, Any], message: str
) -> None:
    root = write_tree(tmp_path, count=1)
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        Taskonomy(root=str(root), **fields).index(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": ("depth", "curvature")}, r"data\.targets: \['depth', 'curvature'\]"),
        ({"targets": ()}, r"data\.targets"),
        ({"depth": "metric"}, r"data\.depth: 'metric'"),
        ({"split": "full"}, r"data\.split: no split 'full'; choose one of tiny, random, csv, json"),
        ({"split_file": "list.csv"}, r"data\.split_file: read with data\.split=csv or json only"),
        ({"protocol": "paper:nobody"}, r"data\.protocol"),
        ({"width": 4096}, r"data\.width: 4096"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Taskonomy(root="x", **fields)
