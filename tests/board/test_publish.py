"""Publishing: what is copied, what is refused, and that nothing is ever replaced by other figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from msbench.board.reading.load import Run, load
from msbench.board.site.build import build
from msbench.cli.main import app
from msbench.errors import UserError
from msbench.publishing.checks import objections
from msbench.publishing.publish import PublicFolder, publish
from msbench.records.record import Record
from msbench.store.store import Store
from tests.board.published import record_of, run_id, save
from tests.board.test_library import sheets

DIGEST = "0" * 64


def _publish(results: Path, verified_only: bool = False) -> list[str]:
    """Publish every run of a store beside it; the lines that say what became of each."""
    store = Store(results)
    found = publish(store, store.ids(), PublicFolder(results.parent / "public"), verified_only=verified_only)
    return [str(item) for item in found]


def _command(*words: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *words], catch_exceptions=False)


def _store(tmp_path: Path, records: list[Record]) -> Path:
    save(records, tmp_path / "results" / "runs", extras=True)
    return tmp_path / "results"


def test_chosen_runs_are_copied_with_their_controls_and_the_pages_are_built(tmp_path: Path) -> None:
    results = _store(tmp_path, [record_of(name) for name in ("dense", "random", "group_lasso")])
    (results / "runs" / run_id("random", 0) / "model.safetensors").write_bytes(b"")
    (results / "runs" / run_id("random", 0) / "mask.safetensors").write_bytes(b"")
    done = _command("publish", "random", "--results", str(results), "--to", str(tmp_path / "public"))
    assert done.exit_code == 0, done.output
    assert "2 added" in done.output
    public = tmp_path / "public"
    assert {path.name for path in (public / "records").iterdir()} == {run_id("random", 0), run_id("dense", 0)}
    names = {path.name for path in (public / "records" / run_id("random", 0)).iterdir()}
    assert names == {"record.json", "history.parquet", "samples.png", "published.json"}
    assert (public / "site" / "runs" / f"{run_id('random', 0)}.html").is_file()
    assert "site/" in (public / ".gitignore").read_text()


def test_pictures_of_real_data_are_not_published(tmp_path: Path) -> None:
    record = record_of("dense")
    assert record.dataset
    record.dataset.synthetic = False
    _publish(_store(tmp_path, [record]))
    assert not (tmp_path / "public" / "records" / record.run_id / "samples.png").exists()


def test_pictures_can_be_left_out(tmp_path: Path) -> None:
    results = _store(tmp_path, [record_of("dense")])
    done = _command("publish", "--all", "--no-pictures", "--results", str(results), "--to", str(tmp_path / "public"))
    assert done.exit_code == 0, done.output
    assert not list((tmp_path / "public").rglob("samples.png"))
    assert "Predictions beside labels" not in next((tmp_path / "public" / "site" / "runs").glob("*.html")).read_text()


@pytest.mark.parametrize(("synthetic", "options"), [(True, []), (True, ["--no-pictures"]), (False, [])])
def test_facts_of_the_data_are_published_and_pictures_of_what_msbench_makes(
    tmp_path: Path, synthetic: bool, options: list[str]
) -> None:
    record = record_of("dense")
    record.hashes["data"] = "data-1"
    results = _store(tmp_path, [record])
    stored = sheets(results, synthetic=synthetic)
    words = ["publish", "--all", "--results", str(results), "--to", str(tmp_path / "public")]
    done = _command(*words, *options)
    assert done.exit_code == 0, done.output
    there, shown = tmp_path / "public" / "datasets", synthetic and not options
    assert {path.name for path in there.iterdir()} == {"rooms-data-1.json"} | ({"rooms-data-1.png"} if shown else set())
    assert json.loads((there / "rooms-data-1.json").read_text())["tasks"][0]["classes"] == ["wall", "lamp"]
    page = (tmp_path / "public" / "site" / "datasets" / "rooms.html").read_text(encoding="utf-8")
    assert ("rooms-data-1.webp" in page) == shown
    if shown:  # what is there stays
        assert _command(*words, "--no-pictures").exit_code == 0
        assert (there / "rooms-data-1.png").read_bytes() == (stored / "rooms-data-1.png").read_bytes()


def test_the_manifest_names_the_machine(tmp_path: Path) -> None:
    record = record_of("dense", cpu="Some Processor 9000")
    _publish(_store(tmp_path, [record]))
    found = json.loads((tmp_path / "public" / "records" / record.run_id / "published.json").read_text())
    assert found["machine"] == {"cpu": "Some Processor 9000", "gpu": ""}


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    results = _store(tmp_path, [record_of("dense")])
    assert _publish(results)[0].startswith("added")
    assert _publish(results) == [f"unchanged: {run_id('dense', 0)}"]


def test_another_result_of_the_same_run_and_machine_is_a_conflict(tmp_path: Path) -> None:
    results = _store(tmp_path, [record_of("dense")])
    _publish(results)
    path = results / "runs" / run_id("dense", 0) / "record.json"
    changed = json.loads(path.read_text())
    changed["metrics"]["depth"]["abs"]["value"] = 0.001
    path.write_text(json.dumps(changed))
    (conflict,) = _publish(results)
    assert conflict.startswith("conflict")
    assert "metrics.depth.abs.value" in conflict
    done = _command("publish", "--all", "--results", str(results), "--to", str(tmp_path / "public"))
    assert (done.exit_code, conflict in done.output) == (1, True)
    (kept,) = load(tmp_path / "public" / "records").runs
    assert kept.record.metrics["depth"]["abs"].value != 0.001


def test_only_verified_runs_on_request_and_the_mark_is_theirs(tmp_path: Path) -> None:
    results = _store(tmp_path, [record_of("dense"), record_of("dense", 1)])
    (run, _) = load(results / "runs").runs
    _verify(run.folder, run.run_id, run.sha256)
    assert [line.partition(":")[0] for line in _publish(results, verified_only=True)] == ["refused", "added"]
    (published,) = load(tmp_path / "public" / "records").runs
    assert published.verified
    assert published.verified.at == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("changes", [{"record_sha256": DIGEST}, {"ok": False}, {"run_id": "another"}, {"ok": "maybe"}])
def test_a_verification_of_something_else_is_no_mark(tmp_path: Path, changes: dict[str, object]) -> None:
    record = record_of("dense")
    (folder,) = save([record], tmp_path).iterdir()
    _verify(folder, record.run_id, load(tmp_path).runs[0].sha256, **changes)
    assert load(tmp_path).runs[0].verified is None


def test_pages_mark_what_was_verified_and_nothing_else(tmp_path: Path) -> None:
    runs = save([record_of("dense"), record_of("random")], tmp_path / "runs")
    chosen = next(run for run in load(runs).runs if run.run_id == run_id("random", 0))
    site = tmp_path / "site"
    assert "verified" not in build(runs, site).read_text()
    _verify(chosen.folder, chosen.run_id, chosen.sha256)
    assert build(runs, site).read_text().count(">verified<") == 1
    assert "Verified" in (site / "runs" / f"{chosen.run_id}.html").read_text()
    assert "Verified" not in (site / "runs" / f"{run_id('dense', 0)}.html").read_text()


def _verify(folder: Path, name: str, sha256: str, **changes: object) -> None:
    found = {"run_id": name, "at": "2026-01-02T03:04:05+00:00", "ok": True, "machine": {}, "record_sha256": sha256}
    (folder / "verified.json").write_text(json.dumps(found | changes))


def test_a_mask_that_is_not_the_records_is_refused(tmp_path: Path) -> None:
    record = record_of("random")
    record.hashes["mask"] = DIGEST
    results = _store(tmp_path, [record])
    save_file({"layer": np.ones(3, dtype=np.uint8)}, results / "runs" / record.run_id / "mask.safetensors")
    assert "mask.safetensors is not the one" in _publish(results)[0]


def _sparsity(record: Record) -> None:
    assert record.sparsity
    record.sparsity.per_layer["backbone.stage0.conv0"] = 1.2


def _budget(record: Record) -> None:
    assert record.budget
    record.budget.achieved = 0.2


def _proof(record: Record) -> None:
    assert record.proof
    record.proof.max_abs_diff["float32"] = 0.5


def _ratio(record: Record) -> None:
    assert record.compression
    record.compression.parameters = 40.0


def _measured(record: Record) -> None:
    assert record.speedup
    assert record.speedup.measured["cpu"]
    record.speedup.measured["cpu"].ratio *= 5


def _delta(record: Record) -> None:
    assert record.delta
    record.delta.mean += 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_sparsity, "per_layer.backbone.stage0.conv0: 1.2 is not in"),
        (_budget, "budget.met is True"),
        (_proof, "proof.max_abs_diff.float32 is 0.5"),
        (_ratio, "compression.parameters: 40 is not"),
        (_measured, "is not that of its times"),
        (_delta, "delta.mean"),
        (lambda record: setattr(record, "proof", None), "without a proof"),
        (lambda record: record.metrics.clear(), "no test metrics"),
        (lambda record: setattr(record, "status", "failed"), "without a reason"),
        (lambda record: setattr(record.metrics["segmentation"]["miou"], "value", 130.0), "130 % is not in"),
        (lambda record: setattr(record, "seed", 7), "does not name its seed 7"),
        (lambda record: setattr(record, "run_id", "random-rooms-quick-s0"), "does not end in a digest"),
        (lambda record: setattr(record.sparsifier, "name", "dense"), "does not begin with its sparsifier"),
        (lambda record: setattr(record, "created", "yesterday"), "is not a time"),
    ],
)
def test_what_cannot_be_is_refused_with_a_line(change: Callable[[Record], None], reason: str) -> None:
    record = record_of("random")
    assert objections(Run(record, Path())) == []
    change(record)
    assert any(reason in line for line in objections(Run(record, Path())))


def test_run_id_must_end_in_the_identity_that_provenance_names() -> None:
    record = record_of("random").model_dump()
    record["provenance"] = dict.fromkeys(("installed", "commit", "diff", "driver"), "") | {
        "packages": {}, "plugins": {}, "identity": DIGEST,
    }  # fmt: skip
    assert "provenance.identity" in objections(Run(Record.model_validate(record), Path()))[0]


def test_check_finds_a_file_that_was_changed_after_publishing(tmp_path: Path) -> None:
    record = record_of("dense")
    _publish(_store(tmp_path, [record]))
    records = tmp_path / "public" / "records"
    assert _command("check", "--records", str(records)).exit_code == 0
    with (records / record.run_id / "record.json").open("a") as file:
        file.write("\n")
    (records / record.run_id / "notes.html").write_text("<script>")
    done = _command("check", "--records", str(records))
    assert done.exit_code == 1
    assert "record.json is not the file that was published" in done.output
    assert "notes.html does not belong here" in done.output


def test_naming_nothing_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name runs, or --all"):
        _command("publish", "--results", str(tmp_path))
