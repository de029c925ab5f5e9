"""What takes minutes: the papers' network end to end, and the level that meta-sparsity finds at the default preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench.store.store import Store
from tests.conftest import msbench

pytestmark = pytest.mark.long


def test_the_papers_network_is_pruned_shrunk_and_proven(tmp_path: Path, cache: Path) -> None:
    small = ("training.samples=48", "training.batch=4", "training.evaluations=1", "data.size=xs")
    arguments = ("run", "-s", "one_shot_magnitude", "--budget", "0.7", "-m", "papers", *small)
    done = msbench(*arguments, cwd=tmp_path, cache=cache, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "results")
    record = store.find(store.resolve("one_shot_magnitude"))
    assert record is not None
    assert record.proof is not None
    assert record.proof.max_abs_diff["float64"] < 1e-9
    assert record.budget is not None
    assert record.budget.met
    assert record.speedup is not None
    assert record.speedup.macs > 1.2


def test_meta_sparsity_finds_its_own_level_and_beats_the_constant_predictor(tmp_path: Path, cache: Path) -> None:
    done = msbench("run", "-s", "meta_sparsity", "--budget", "natural", cwd=tmp_path, cache=cache, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "results")
    record = store.find(store.resolve("meta_sparsity"))
    assert record is not None
    assert record.budget is not None
    assert 0.25 < (record.budget.achieved or 0.0) < 0.75
    for task in record.tasks:
        metric = record.metrics[task.name][task.headline]
        assert metric.constant is not None
        gain = (metric.value - metric.constant) / metric.constant
        assert gain > 0.3 if metric.better == "higher" else gain < -0.3, task.name
