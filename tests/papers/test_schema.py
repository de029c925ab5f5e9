"""The files of configs/papers: valid, about tasks and metrics that exist, and true to the papers' own arithmetic."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from msbench.config import build_part
from msbench.errors import UserError
from msbench.papers.schema import PaperTable, Row, load_table, names, read_table
from msbench.plugins import Plugins
from tests.papers.conftest import TABLE

NAMES = [f"papers/{name}" for name in ("less_is_more_t1", "less_is_more_t2", "less_is_more_t3")]
NAMES += [f"papers/meta_sparsity_t{number}" for number in (3, 4, 5, 6)]
NAMES += [f"papers/adapmtl_t{number}" for number in (1, 2, 3, 4, 5)]


def test_the_presets_are_there() -> None:
    assert names() == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_a_valid_table_with_its_anomalies(name: str) -> None:
    table = load_table(name)
    assert table.preset == name
    assert table.notes
    assert "arXiv" in table.paper
    used = {column for row in table.rows for column in row.published}
    extra = {column.id for column in table.columns} - used
    assert extra <= {"d_mean"}, "a column without any published value is ours on purpose"
    for row in table.rows:
        assert any(row.published.values()), f"{row.name}: nothing published"


@pytest.mark.parametrize("name", NAMES)
def test_columns_name_tasks_and_metrics_of_the_default_dataset(plugins: Plugins, name: str) -> None:
    table = load_table(name)
    component = plugins.get("dataset", table.dataset)
    tasks = {task.name: task for task in build_part(component, {}).tasks()}
    for column in table.columns:
        if column.task is not None:
            assert column.task in tasks, column.id
        if column.metric is not None and column.task is not None:
            spec = tasks[column.task].metrics[column.metric]
            assert spec.better == column.better, column.id
            assert (column.scale == 0.01) <= (spec.unit == "%"), column.id
        if column.component is not None:
            assert column.component == "backbone" or column.component.removeprefix("heads.") in tasks
    assert {task for row in table.rows for task in (*row.tasks, *row.new_tasks)} <= set(tasks)


def broken(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(TABLE), **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(rows=[{**TABLE["rows"][0], "published": {"iuo": 1}}]), "no column iuo"),
        (broken(rows=[TABLE["rows"][0], TABLE["rows"][0]]), "row labels are not unique"),
        (broken(rows=[{**TABLE["rows"][0], "label": ["one"]}]), "1 labels for 2 headings"),
        (broken(rows=[{**TABLE["rows"][0], "meta_test": "add"}]), "meta_test"),
        (broken(rows=[{**TABLE["rows"][0], "budget": 1.5}]), "budget"),
        (broken(rows=[{**TABLE["rows"][0], "published": {"iou": [1, -2]}}]), "greater than or equal to 0"),
        (broken(reference=""), "a matched budget needs the table's reference"),
        (broken(columns=[{"id": "a", "label": "a", "better": None, "figure": "metric"}]), "takes task, metric"),
        (
            broken(columns=[{"id": "a", "label": "a", "better": None, "figure": "sparsity", "task": "x"}]),
            "nothing more",
        ),
        (broken(surprise=1), "surprise"),
        ([1, 2], "not a readable table"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "broken.yaml"
    if isinstance(content, dict):
        content.pop("name")
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_budget_replaces_that_of_every_row(table: PaperTable) -> None:
    assert {row.budget for row in table.with_budget("0.5").rows} == {0.5}
    assert {row.budget for row in table.with_budget("natural").rows} == {"natural"}
    assert table.with_budget(None) is table
    with pytest.raises(UserError, match="did you mean 'matched'"):
        table.with_budget("machted")
    with pytest.raises(UserError, match="lies between 0 and 1"):
        table.with_budget("1.5")
    with pytest.raises(UserError, match="names no reference"):
        load_table("papers/adapmtl_t1").with_budget("matched")


# -- the papers' own arithmetic, recomputed from the stored cells ---------------------------------------------------

GROUPS = {
    "d_t1": ("miou", "pa"),
    "d_t2": ("mean", "median", "a11", "a22", "a30"),
    "d_t3": ("abs", "rel", "d1", "d2", "d3"),
}


def cell(row: Row, column: str) -> float:
    found = row.published[column]
    assert found is not None
    return found.mean


def changes(table: PaperTable, row: Row, column: str) -> list[float]:
    """Signed relative changes in percent of a Δ column's metrics against the table's dense row."""
    better = {item.id: item.better for item in table.columns}
    dense = table.rows[0]
    assert dense.sparsifier == "dense"
    sign = {"higher": 100.0, "lower": -100.0}
    return [
        sign[str(better[name])] * (cell(row, name) - cell(dense, name)) / cell(dense, name) for name in GROUPS[column]
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_adapmtl_deltas_are_sums_over_metrics_and_not_the_means_of_its_equation(number: int) -> None:
    table = load_table(f"papers/adapmtl_t{number}")
    for row in table.rows[1:]:
        for column in GROUPS:
            total = sum(changes(table, row, column))
            misprint = number == 1 and row.name == "IMP" and column == "d_t3"
            assert total == pytest.approx(-2.42 if misprint else cell(row, column), abs=0.025), (row.name, column)
        tasks = [cell(row, column) for column in GROUPS]
        assert sum(tasks) / 3 == pytest.approx(cell(row, "d_t"), abs=0.01), row.name


@pytest.mark.parametrize(
    ("number", "means"),
    [(1, (-3.22, -0.89, -0.20, -0.52, -1.46, 0.85)), (2, (-2.86, -1.72, -1.40, -0.54, -2.21, 0.73))],
)
def test_the_means_that_the_notes_state(number: int, means: tuple[float, ...]) -> None:
    """Equation 7 as written, from the metrics' cells (so the IMP row of Table 1 without its doubtful -3.82)."""
    table = load_table(f"papers/adapmtl_t{number}")
    note = next(note for note in table.notes if "equation 7" in note)
    for row, mean in zip(table.rows[1:], means, strict=True):
        tasks = [sum(changes(table, row, column)) / len(group) for column, group in GROUPS.items()]
        assert sum(tasks) / 3 == pytest.approx(mean, abs=0.011), row.name
        assert f"{mean:+.2f}".replace("+-", "-") in note or f"{mean:.2f}" in note


def test_adapmtl_taskonomy_and_ablation_means() -> None:
    for name, columns in (
        ("adapmtl_t3", ("seg", "normals", "depth", "keypoints", "edges")),
        ("adapmtl_t5", ("d_t1", "d_t2", "d_t3")),
    ):
        for row in load_table(f"papers/{name}").rows:
            mean = sum(cell(row, column) for column in columns) / len(columns)
            assert mean == pytest.approx(cell(row, "d_t"), abs=0.011), row.name


WEIGHTS = {1: (21267648, 23232512, 23080960, 23072768), 2: (2189760, 51544064, 51392512, 51384320)}
"""Convolution weights of the published networks: backbone, segmentation, normals and depth heads."""


@pytest.mark.parametrize("number", [1, 2])
def test_adapmtl_allocations_give_90_percent_but_for_the_doubtful_cell(number: int) -> None:
    for row in load_table(f"papers/adapmtl_t{number}").rows[1:]:
        shares = [cell(row, f"sp_{part}") for part in ("backbone", "seg", "normals", "depth")]
        overall = sum(w * s for w, s in zip(WEIGHTS[number], shares, strict=True)) / sum(WEIGHTS[number])
        if number == 1 and row.name == "AdapMTL, one threshold":
            assert overall == pytest.approx(77.68, abs=0.01), "39.37, where 89.37 would fit"
        else:
            assert 89.8 < overall < 90.6, row.name


def test_adapmtl_costs_are_below_what_their_density_allows() -> None:
    """Every weight is used at each position of the heads' grid, so FLOPs shrink hardly more than weights."""
    rows = load_table("papers/adapmtl_t4").rows
    for network, least in (("ResNet-34", 0.9915), ("MobileNetV2", 0.9789)):
        dense, *sparse = [row for row in rows if row.label[0] == network]
        for row, nominal in zip(sparse, (0.2, 0.15, 0.1), strict=True):
            density = 1 - cell(row, "sparsity") / 100
            assert cell(row, "gflops") / cell(dense, "gflops") < density * least
            assert cell(row, "params") / cell(dense, "params") == pytest.approx(nominal, abs=0.0001)


def test_meta_sparsity_levels() -> None:
    """Shelves of the published network's last stage, and the compression ratio that the paper quotes from 44.1159 %."""
    levels = [cell(row, "sparsity") for row in load_table("papers/meta_sparsity_t6").rows]
    assert 1 / (1 - levels[0] / 100) == pytest.approx(1.789, abs=5e-4)
    convolutions, all_weights, channel = 3 * 512 * 512 * 9, 23_578_304, 512 * 9
    assert 100 * convolutions / all_weights == pytest.approx(levels[2], abs=5e-5)
    assert 100 * (convolutions - channel) / all_weights == pytest.approx(levels[3], abs=5e-5)
    third, fifth = load_table("papers/meta_sparsity_t3"), load_table("papers/meta_sparsity_t5")
    four = next(row for row in third.rows if row.sparsifier == "meta_sparsity" and len(row.tasks) == 4)
    assert all(four.published[c.id] == fifth.rows[-1].published[c.id] for c in fifth.columns), "one result, two tables"
    assert cell(four, "sparsity") == levels[0]
