"""Records are read with suspicion: old schemas are migrated, newer ones named, everything else refused in one line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.records.migrations import SCHEMA_VERSION, STEPS, migrate
from msbench.records.record import Record, read_record, write_record
from msbench.records.strict_json import LARGEST
from msbench.training.settings import TrainingSettings

FOLDER = Path(__file__).parent / "records"
OLD = sorted(FOLDER.glob("v*/*.json"))


def plain(name: str = "v1/ok.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def test_there_are_records_of_every_schema() -> None:
    kinds = {"ok.json", "failed.json", "matched.json", "meta_test.json"}
    for version in range(1, SCHEMA_VERSION + 1):
        assert {path.name for path in (FOLDER / f"v{version}").glob("*.json")} == kinds


@pytest.mark.parametrize("path", OLD, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_record_of_any_schema_reads_as_of_today(path: Path, tmp_path: Path) -> None:
    written = json.loads(path.read_text(encoding="utf-8"))
    assert f"v{written['schema_version']}" == path.parent.name
    record = read_record(path)
    assert record.schema_version == SCHEMA_VERSION
    for name, metrics in written["metrics"].items():
        for metric, value in metrics.items():
            assert record.metrics[name][metric].value == value["value"]
    write_record(record, tmp_path / "again.json")
    assert read_record(tmp_path / "again.json") == record


def test_what_an_old_record_does_not_say_stays_unsaid() -> None:
    assert read_record(FOLDER / "v1" / "ok.json").provenance is None


@pytest.mark.parametrize("path", OLD, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_record_of_any_schema_has_every_setting_that_boards_compare(path: Path) -> None:
    """Else runs of before and after a new setting stand on two boards: a new setting needs a new schema version."""
    config = read_record(path).config
    assert set(config["training"]) == {setting.name for setting in dataclasses.fields(TrainingSettings)}
    assert config["model"]["backbone"]["params"]["weights"] == ""


def test_records_of_old_schemas_are_shown(tmp_path: Path) -> None:
    for path in OLD:
        folder = tmp_path / "runs" / f"{path.parent.name}-{path.stem}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(path.read_bytes())
    listed = CliRunner().invoke(app, ["results", "list", "--results", str(tmp_path)], env={"COLUMNS": "250"})
    assert listed.exit_code == 0, listed.output
    for path in OLD:
        assert f"{path.parent.name}-{path.stem}" in listed.output


def test_every_version_but_the_present_has_one_step() -> None:
    assert set(STEPS) == set(range(1, SCHEMA_VERSION))


def test_a_migrated_record_is_another_object() -> None:
    old = plain()
    before = json.dumps(old)
    assert migrate(old)["schema_version"] == SCHEMA_VERSION
    assert json.dumps(old) == before


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, [1]])
def test_a_version_that_is_none_is_refused(version: object, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**plain(), "schema_version": version}), encoding="utf-8")
    with pytest.raises(UserError, match="schema_version"):
        read_record(path)


def test_a_newer_schema_says_so_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "unheard": "of"}), encoding="utf-8")
    with pytest.raises(UserError, match="made by a newer msbench") as raised:
        read_record(path)
    assert "\n" not in str(raised.value)
    assert "remove" not in str(raised.value), "a newer record is not a broken one"


def change(edit: Callable[[dict[str, Any]], object]) -> bytes:
    found = plain()
    edit(found)
    return json.dumps(found).encode()


BROKEN = {
    "cut": (change(lambda r: None)[:-100], "not JSON"),
    "empty": (b"", "not JSON"),
    "list": (b"[]", "not a record"),
    "latin": (b'{"run_id": "\xe9"}', "not UTF-8"),
    "twice": (b'{"seed": 1, ' + change(lambda r: None)[1:], "key 'seed' stands twice"),
    "nan": (change(lambda r: r["budget"].update(asked=float("nan"))), "NaN is not a number"),
    "infinite": (change(lambda r: r["budget"].update(asked=float("inf"))), "Infinity is not a number"),
    "overflow": (change(lambda r: None).replace(b'"seed": 0', b'"seed": 1e999'), "too large a number"),
    "digits": (change(lambda r: None).replace(b'"seed": 0', b'"seed": ' + b"9" * 5000), "too long a number"),
    "deep": (b'{"config": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deep"),
    "unknown": (change(lambda r: r.update(extra=1)), "extra"),
    "status": (change(lambda r: r.update(status="excellent")), "status"),
    "large": (b'{"reason": "' + b"x" * LARGEST + b'"}', "larger than"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_is_one_line(name: str, tmp_path: Path) -> None:
    raw, message = BROKEN[name]
    path = tmp_path / "record.json"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=message) as raised:
        read_record(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 600


def test_a_missing_record_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_record(tmp_path / "record.json")


def test_nothing_that_is_no_number_is_written(tmp_path: Path) -> None:
    record = Record.model_validate(migrate(plain()))
    record.budget.asked = float("nan")  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(record, tmp_path / "record.json")
