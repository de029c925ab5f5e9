"""`results verify` accepts a run as it was made, and catches each thing that was changed since."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.records.record import read_record, write_record
from msbench.runs.describe import Job
from msbench.runs.execute import execute
from msbench.runs.finish import finish
from msbench.runs.places import placeless
from msbench.runs.plan import Command, make_plan
from msbench.runs.verification import checks
from msbench.runs.verification import retrain as repetition
from msbench.runs.verification.checks import run_checks
from msbench.runs.verification.reloaded import Reloaded
from msbench.runs.verification.verify import FILE, Verified, claims, find_run, read_verified, verify
from msbench.store.store import Store

SMALL = ("training.samples=64", "engine.measure_seconds=0.1", "model.backbone.width=8", "engine.device=cpu")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made(plugins: Plugins, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a dense run and one at half the weights, made in this process."""
    store = Store(tmp_path_factory.mktemp("verified") / "results")
    store.open()
    asked = experiment(
        plugins, sparsifiers=["random"], budget="0.5", seeds=[0], choices={"preset": "smoke"}, overrides=SMALL
    )
    for planned in make_plan(plugins, [asked], store, cache, Command(("--preset", "smoke"), SMALL)):
        target = planned.config.budget.share
        job = Job(planned.run_id, planned.config, target, None, planned.command, planned.identity)
        folder = store.begin(planned.run_id)
        record = execute(plugins, job, folder, cache, lambda share, latest: None)
        dense = store.find(planned.dense) if planned.dense else None
        store.commit(planned.run_id, finish(plugins, record, folder, dense))
    torch.set_flush_denormal(False)
    return store


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    """A copy to spoil."""
    shutil.copytree(made.root, tmp_path / "results")
    return Store(tmp_path / "results")


def sparse(store: Store) -> str:
    return store.resolve("random")


def failed(store: Store, plugins: Plugins, cache: Path) -> set[str]:
    """Names of the checks that fail."""
    return {check.name for check in verify(store, plugins, sparse(store), cache).checks if check.ok is False}


def edit_record(store: Store, change: Change) -> None:
    path = store.folder(sparse(store)) / "record.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found), encoding="utf-8")


def test_a_run_as_it_was_made_is_verified(store: Store, plugins: Plugins, cache: Path) -> None:
    for run_id in store.ids():
        found = verify(store, plugins, run_id, cache)
        assert found.ok, [check for check in found.checks if check.ok is False]
        assert found.same_machine
        assert found.tolerance["metrics"] == 0.0
        assert read_verified(store.folder(run_id)) == found
    names = {check.name for check in found.checks if check.ok}
    assert names >= {"record", "identity", "data", "initial weights", "weights", "mask", "sparsity", "budget", "proof"}
    assert names >= {"compression", "multiply-adds", "measured speed-up", "test metrics", "delta", "status"}


TAMPERED: dict[str, tuple[Change, str]] = {
    "a metric": (lambda r: r["metrics"]["depth"]["abs"].update(value=0.01), "test metrics"),
    "a metric's last digit": (
        lambda r: r["metrics"]["depth"]["abs"].update(value=r["metrics"]["depth"]["abs"]["value"] * (1 + 1e-9)),
        "test metrics",
    ),
    "a metric's direction": (lambda r: r["metrics"]["depth"]["abs"].update(better="higher"), "test metrics"),
    "a metric that is none": (
        lambda r: r["metrics"]["depth"].update(best=r["metrics"]["depth"]["abs"]),
        "test metrics",
    ),
    "a validation metric": (lambda r: r["validation"]["depth"]["abs"].update(value=0.01), "validation metrics"),
    "a measured speed-up": (lambda r: r["speedup"]["measured"]["cpu"].update(ratio=9.0), "measured speed-up"),
    "all of a measured speed-up": (
        lambda r: r["speedup"]["measured"]["cpu"].update(ratio=90.0, q25=89.0, q75=91.0, dense_s=9.0, compact_s=0.1),
        "measured speed-up",
    ),
    "a theoretical speed-up": (lambda r: r["speedup"].update(theoretical=9.0), "multiply-adds"),
    "multiply-adds": (lambda r: r["speedup"].update(compact_macs=1), "multiply-adds"),
    "compression": (lambda r: r["compression"].update(parameters=99.0), "compression"),
    "the sparsity": (lambda r: r["sparsity"].update(parameters=0.9), "sparsity"),
    "a layer's sparsity": (lambda r: r["sparsity"]["per_layer"].popitem(), "sparsity"),
    "the budget achieved": (lambda r: r["budget"].update(achieved=0.9), "budget"),
    "the budget asked": (lambda r: r["budget"].update(asked=0.4), "budget"),
    "the tolerance": (lambda r: r["budget"].update(tolerance=0.5), "budget"),
    "the allowance": (lambda r: r["allowance"].update(samples=128), "allowance"),
    "the proof's tolerance": (lambda r: r["proof"]["tolerance"].update(float32=1.0), "proof"),
    "the proof": (lambda r: r["proof"].update(equal=False), "proof"),
    "delta": (lambda r: r["delta"].update(mean=5.0), "delta"),
    "the hash of the weights": (lambda r: r["hashes"].update(weights="0" * 64), "weights"),
    "the hash of the mask": (lambda r: r["hashes"].update(mask="0" * 64), "mask"),
    "the hash of the data": (lambda r: r["hashes"].update(data="0" * 64), "data"),
    "the initial weights": (lambda r: r["hashes"].update(initial_weights="0" * 64), "initial weights"),
    "a setting": (lambda r: r["config"]["training"].update(lr=0.5), "identity"),
    "a sparsifier's setting": (lambda r: r["config"]["sparsifier"]["params"].update(dense_share=0.9), "identity"),
    "the identity": (lambda r: r["provenance"].update(identity="0" * 64), "identity"),
}


def test_every_changed_claim_is_caught(
    store: Store, plugins: Plugins, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One network for all of them: what they change is the record alone."""
    run_id = sparse(store)
    folder = store.folder(run_id)
    whole = (folder / "record.json").read_text(encoding="utf-8")
    run = Reloaded.of(plugins, read_record(folder / "record.json"), folder, cache)
    metrics = {part: run.measured(part) for part in ("test", "validation")}
    monkeypatch.setattr(Reloaded, "measured", lambda self, part: metrics[part])
    monkeypatch.setattr(Reloaded, "compaction", run.compaction)
    monkeypatch.setattr(Reloaded, "proof", run.proof)
    for name, (change, expected) in TAMPERED.items():
        edit_record(store, change)
        changed = dataclasses.replace(run, record=read_record(folder / "record.json"))
        found = claims(store, changed, folder / "record.json")
        assert expected in {check.name for check in found if check.ok is False}, name
        (folder / "record.json").write_text(whole, encoding="utf-8")


def test_a_missed_budget_is_not_called_ok(store: Store, plugins: Plugins, cache: Path) -> None:
    edit_record(store, lambda r: r["budget"].update(met=False))
    assert {"budget", "status"} <= failed(store, plugins, cache)


@pytest.mark.parametrize("where", [-1, -5000])
def test_one_changed_byte_of_the_weights_is_caught(store: Store, plugins: Plugins, cache: Path, where: int) -> None:
    path = store.folder(sparse(store)) / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[where] ^= 1
    path.write_bytes(raw)
    assert "weights" in failed(store, plugins, cache)


def test_weights_that_cannot_be_read_are_one_line(store: Store, plugins: Plugins, cache: Path) -> None:
    path = store.folder(sparse(store)) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors: not this run's weights"):
        verify(store, plugins, sparse(store), cache)


def test_a_changed_mask_is_caught(store: Store, plugins: Plugins, cache: Path) -> None:
    path = store.folder(sparse(store)) / "mask.safetensors"
    mask = load_file(path)
    name, kept = next((name, kept) for name, kept in mask.items() if not kept.all())
    kept[kept.argmin()] = 1
    save_file({**mask, name: kept}, path)
    assert {"mask", "sparsity", "budget"} <= failed(store, plugins, cache)


def test_a_mask_that_removes_what_is_there_is_caught(store: Store, plugins: Plugins, cache: Path) -> None:
    path = store.folder(sparse(store)) / "mask.safetensors"
    mask = load_file(path)
    name, kept = next((name, kept) for name, kept in mask.items() if kept.sum() > 1)
    kept[kept.argmax()] = 0
    save_file({**mask, name: kept}, path)
    found = verify(store, plugins, sparse(store), cache)
    assert any("weights that the mask removes" in check.detail for check in found.checks if check.name == "mask")


def test_a_record_that_changes_after_it_was_verified_is_caught(store: Store, plugins: Plugins, cache: Path) -> None:
    assert verify(store, plugins, sparse(store), cache).ok
    edit_record(store, lambda r: r.update(command="msbench run -s better"))
    assert failed(store, plugins, cache) == {"record"}


def test_a_copy_of_the_record_is_checked_against_the_run(
    store: Store, plugins: Plugins, cache: Path, tmp_path: Path
) -> None:
    run_id, copy = sparse(store), tmp_path / "published.json"
    shutil.copyfile(store.folder(run_id) / "record.json", copy)
    assert find_run(store, str(copy)) == (run_id, copy)
    assert verify(store, plugins, run_id, cache, copy=copy).ok
    assert not (store.folder(run_id) / FILE).exists(), "only the run's own record leaves a verification"
    found = json.loads(copy.read_text(encoding="utf-8"))
    found["metrics"]["depth"]["abs"]["value"] = 0.01
    copy.write_text(json.dumps(found), encoding="utf-8")
    wrong = {check.name for check in verify(store, plugins, run_id, cache, copy=copy).checks if check.ok is False}
    assert {"record", "test metrics"} <= wrong


def test_a_copy_that_was_published_without_paths_is_still_the_run(
    store: Store, plugins: Plugins, cache: Path, tmp_path: Path
) -> None:
    edit_record(store, lambda r: r.update(command=f"{r['command']} --plugin /home/joe/mine.py"))
    run_id, copy = sparse(store), tmp_path / "published.json"
    write_record(placeless(read_record(store.folder(run_id) / "record.json")), copy)
    assert "joe" not in copy.read_text(encoding="utf-8")
    assert verify(store, plugins, run_id, cache, copy=copy).ok


@pytest.mark.parametrize("run_id", ["../outside", "/etc", "", ".", "a/b", "a\x00b", "-x"])
def test_a_copy_cannot_lead_out_of_the_store(store: Store, tmp_path: Path, run_id: str) -> None:
    copy = tmp_path / "published.json"
    found = json.loads((store.folder(sparse(store)) / "record.json").read_text(encoding="utf-8"))
    copy.write_text(json.dumps({**found, "run_id": run_id}), encoding="utf-8")
    with pytest.raises(UserError, match="cannot be a run's name"):
        find_run(store, str(copy))


def test_nothing_is_written_through_a_link(store: Store, plugins: Plugins, cache: Path, tmp_path: Path) -> None:
    run_id = sparse(store)
    store.folder(run_id).rename(tmp_path / "outside")
    store.folder(run_id).symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="is a link"):
        verify(store, plugins, run_id, cache)
    assert not (tmp_path / "outside" / FILE).exists()


def test_on_another_machine_metrics_have_a_tolerance(store: Store, plugins: Plugins, cache: Path) -> None:
    edit_record(store, lambda r: r["environment"].update(cpu="another"))
    edit_record(
        store, lambda r: r["metrics"]["depth"]["abs"].update(value=r["metrics"]["depth"]["abs"]["value"] * 1.00005)
    )
    found = verify(store, plugins, sparse(store), cache)
    assert not found.same_machine
    assert found.tolerance["metrics"] == checks.ELSEWHERE
    assert next(check for check in found.checks if check.name == "test metrics").ok
    assert next(check for check in found.checks if check.name == "measured speed-up").ok is None
    edit_record(
        store, lambda r: r["metrics"]["depth"]["abs"].update(value=r["metrics"]["depth"]["abs"]["value"] * 1.0005)
    )
    assert "test metrics" in failed(store, plugins, cache)


def test_a_check_that_breaks_off_has_failed(
    store: Store, plugins: Plugins, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.folder(sparse(store))
    run = Reloaded.of(plugins, read_record(folder / "record.json"), folder, cache)
    monkeypatch.setattr(checks, "compression", lambda model, small: 1 / 0)
    found = {check.name: check for check in run_checks(run, store)}
    assert found["compression"].ok is False
    assert found["compression"].detail.startswith("ZeroDivisionError")


def test_the_verb_prints_a_table_and_its_exit_code_tells(
    store: Store, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("MSBENCH_CACHE", str(cache))
    arguments = ["results", "verify", "random", "--results", str(store.root)]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "verified (same machine and device: to the last digit)" in done.output
    edit_record(store, lambda r: r["delta"].update(mean=5.0))
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert done.exit_code == 1
    assert "NOT verified" in done.output
    assert "FAILED" in done.output
    saved = Verified.model_validate_json((store.folder(sparse(store)) / FILE).read_text(encoding="utf-8"))
    assert not saved.ok


def test_a_run_without_a_network_has_nothing_to_verify(store: Store, plugins: Plugins, cache: Path) -> None:
    (store.folder(sparse(store)) / "model.safetensors").unlink()
    with pytest.raises(UserError, match="nothing to verify"):
        verify(store, plugins, sparse(store), cache)


def test_a_repetition_has_the_same_weights_to_the_last_bit(store: Store, plugins: Plugins, cache: Path) -> None:
    found = verify(store, plugins, sparse(store), cache, again=True)
    assert next(check for check in found.checks if check.name == "repetition").ok, found.checks[-1]


def test_a_repetition_with_other_weights_is_caught(
    store: Store, plugins: Plugins, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = read_record(store.folder(store.resolve("dense")) / "record.json")
    monkeypatch.setattr(repetition, "_again", lambda *given: other)
    record = read_record(store.folder(sparse(store)) / "record.json")
    assert repetition.retrain(store, record, cache, plugins, [], same_machine=True).ok is False
    elsewhere = repetition.retrain(store, record, cache, plugins, [], same_machine=False)
    assert elsewhere.detail.startswith("another machine: ")
    monkeypatch.setattr(repetition, "_again", lambda *given: record.model_copy(update={"hashes": {"weights": ""}}))
    assert repetition.retrain(store, record, cache, plugins, [], same_machine=False).ok
