"""data.json against its schema, and what rows are called and repeated by."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from msbench.board.comparison.rows import Row
from msbench.board.downloads.datafile import DATA_VERSION, DataFile, record_lines
from msbench.board.site.build import build
from msbench.board.table.facets import anchor_of, command_of, facets
from msbench.records.record import Record, write_record
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


def test_the_same_run_on_other_machines_is_in_data_json_and_its_schema(factory: Factory, tmp_path: Path) -> None:
    run, other = factory.record("random"), factory.record("snip")
    slow = run.model_copy(update={"environment": {"cpu": {"model": "Slow CPU"}}})
    runs = factory.save([run, other], tmp_path / "runs")
    (runs / "second").mkdir()
    write_record(slow, runs / "second" / "record.json")
    site = build(runs, tmp_path / "site").parent
    data, schema = json.loads((site / "data.json").read_text()), _schema(site)
    jsonschema.validate(data, schema)
    assert DataFile.model_validate(data).elsewhere == [slow]
    assert DataFile.model_validate(data).records == [run, other]
    assert "other machines" in schema["properties"]["elsewhere"]["description"]


def test_every_record_of_data_json_has_a_line_of_its_own(site: Path) -> None:
    text = (site / "data.json").read_text()
    assert [json.loads(line) for line in record_lines(text)] == json.loads(text)["records"]


def test_lines_of_the_old_data_json_are_copied_and_only_while_the_file_is_as_written(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = factory.save([factory.record("random")], tmp_path / "runs"), tmp_path / "site"
    build(runs, out)
    made: list[str] = []
    dump = Record.model_dump_json
    monkeypatch.setattr(Record, "model_dump_json", lambda record: made.append(record.run_id) or dump(record))
    factory.save([factory.record("snip")], runs)
    build(runs, out)
    assert made == ["snip-segmentation-matched-0"]
    (out / "data.json").write_text((out / "data.json").read_text().replace("msbench run", "msbench RUN"))
    build(runs, out)
    assert "msbench RUN" not in (out / "data.json").read_text()
    assert len(made) == 3


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
