"""data.json against its schema, and what rows are called and repeated by."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from msbench.board.datafile import DATA_VERSION
from msbench.board.facets import anchor_of, command_of, facets
from msbench.board.rows import Row
from tests.board.conftest import Factory
from tests.board.test_export_latex import rows_of


def _schema(site: Path) -> dict:
    found: dict = json.loads((site / "data.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def test_data_json_is_valid_by_its_own_schema(site: Path) -> None:
    data = json.loads((site / "data.json").read_text())
    jsonschema.validate(data, _schema(site))
    assert data["schema_version"] == DATA_VERSION
    assert data["records"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda data: data.update(schema_version=DATA_VERSION + 1), ["schema_version"]),
        (lambda data: data["records"][0].pop("seed"), ["records", 0]),
        (lambda data: data["records"][0].update(status="fine"), ["records", 0, "status"]),
        (lambda data: data["boards"][0].update(extra=1), ["boards", 0]),
    ],
)
def test_the_schema_refuses_what_msbench_does_not_write(site: Path, change, where) -> None:  # type: ignore[no-untyped-def]
    data = json.loads((site / "data.json").read_text())
    change(data)
    errors = list(jsonschema.Draft202012Validator(_schema(site)).iter_errors(data))
    assert [list(error.absolute_path) for error in errors] == [where]


def test_every_board_has_its_downloads(site: Path) -> None:
    names = {path.parent.name: path.stem for path in site.rglob("*") if path.suffix in (".csv", ".tex", ".bib")}
    assert set(names) == {"csv", "latex", "bibtex"}
    assert len(set(names.values())) == 1


def _row(commands: list[str]) -> Row:
    records = [Factory().record("snip", seed, command=command) for seed, command in enumerate(commands)]
    return rows_of(records).rows[0]


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["msbench run -s snip --seed 0 x=1", "msbench run -s snip --seed 1 x=1"], "msbench run -s snip --seeds 2 x=1"),
        (["msbench run -s snip --seed 0"], "msbench run -s snip --seed 0"),
        (["a --seed 0 --x 1", "a --seed 1 --x 2"], "a --seed 0 --x 1\na --seed 1 --x 2"),
        (["a --seed 1", "a --seed 4"], "a --seed 1\na --seed 4"),
    ],
)
def test_one_command_repeats_a_row_where_one_can(commands: list[str], expected: str) -> None:
    assert command_of(_row(commands)) == expected


def test_anchors_stay_while_seeds_and_other_rows_come(factory: Factory) -> None:
    before = rows_of([factory.record("snip", 0), factory.record("random", 0)]).rows
    after = rows_of([factory.record("snip", seed) for seed in range(3)] + [factory.record("set", 0)]).rows
    anchors = [{row.sparsifier.name: anchor_of(row) for row in rows} for rows in (before, after)]
    assert anchors[0]["snip"] == anchors[1]["snip"]
    assert len({*anchors[0].values(), *anchors[1].values()}) == 3


def test_facets_are_what_tells_rows_apart(factory: Factory) -> None:
    records = [factory.record("snip"), factory.failed("random"), factory.record("set", mode="share", share=0.9)]
    found = {
        facet.key: {option.value: option.rows for option in facet.options} for facet in facets(rows_of(records).rows)
    }
    assert found == {"budget": {"0.9": 1, "matched": 2}, "status": {"failed": 1, "ok": 2}}
