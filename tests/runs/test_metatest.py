"""Meta-testing end to end: what is trained, what is held, what is measured against what."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from msbench.records.record import Record
from msbench.store.store import Store
from tests.conftest import msbench

Suite = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=["add:edges", "only:edges"])
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Suite:
    folder = tmp_path_factory.mktemp("metatest")
    arguments = ("run", "-s", "random", "--budget", "0.5", "--preset", "smoke", "--meta-test", request.param)
    return folder, msbench(*arguments, "tasks=[segmentation,depth]", cwd=folder, cache=cache)


def load(folder: Path) -> tuple[Store, dict[tuple[str, bool], Record]]:
    store = Store(folder / "results")
    records = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    return store, {(record.sparsifier.name, record.meta_test is not None): record for record in records}


def test_the_mask_is_held_and_dense_is_the_control(suite: Suite) -> None:
    folder, done = suite
    assert done.returncode == 0, done.stdout + done.stderr
    store, found = load(folder)
    source, tested, dense = found["random", False], found["random", True], found["dense", True]
    assert tested.meta_test is not None
    assert tested.meta_test.source == source.run_id
    assert tested.hashes["mask"] == source.hashes["mask"]
    assert tested.delta is not None
    assert tested.delta.dense_run == dense.run_id
    assert tested.allowance is not None
    assert tested.allowance.samples == 80
    weights = load_file(store.folder(tested.run_id) / "model.safetensors")
    mask = load_file(store.folder(tested.run_id) / "mask.safetensors")
    for name, kept in mask.items():
        removed = weights[f"{name}.weight"][:, ~kept.bool()]
        assert not removed.any()
    assert "edges" in tested.metrics
    assert "then-" in done.stdout
    assert "meta-test" in (folder / "results" / "leaderboard" / "index.html").read_text(encoding="utf-8")


def test_what_is_trained(suite: Suite) -> None:
    folder, _ = suite
    store, found = load(folder)
    tested = found["random", True]
    assert tested.meta_test is not None
    before = load_file(store.folder(tested.meta_test.source) / "model.safetensors")
    after = load_file(store.folder(tested.run_id) / "model.safetensors")
    backbone = [name for name in after if name.startswith("backbone.")]
    same = [torch.equal(before[name], after[name]) for name in backbone]
    if tested.meta_test.mode == "only":
        assert set(tested.metrics) == {"edges"}
        assert all(same), "weights and batch-norm statistics of the backbone"
    else:
        assert set(tested.metrics) == {"segmentation", "depth", "edges"}
        assert not any(same[index] for index, name in enumerate(backbone) if name.endswith("running_mean"))
