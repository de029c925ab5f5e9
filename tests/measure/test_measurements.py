"""What measuring leaves behind: parts of records that may be missing, and files beside a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from msbench.errors import UserError
from msbench.records.measurement import Case, Measurement, Pair, Request
from msbench.records.record import BudgetPart, CompressionPart, LatencyPart, ProofPart, SparsityPart
from msbench.store.measurements import measurements, save
from msbench.store.store import Store

OLD_LATENCY = {
    "device": "cpu",
    "ratio": 2.0,
    "q25": 1.9,
    "q75": 2.1,
    "dense_s": 0.2,
    "compact_s": 0.1,
    "rounds": 7,
    "threads": 1,
    "batch": 1,
    "size": [64, 64],
    "dtype": "float32",
}
OLD_BUDGET = {
    "mode": "share",
    "scope": "backbone",
    "unit": "params",
    "structured": True,
    "asked": 0.5,
    "achieved": 0.5,
    "natural": None,
    "settled_by": None,
    "tolerance": 0.005,
    "met": True,
}
OLD_SPARSITY: dict[str, Any] = {"parameters": 0.5, "groups": 0.5, "per_layer": {}, "per_component": {}, "channels": {}}


def test_parts_of_old_records_are_still_read() -> None:
    latency = LatencyPart.model_validate(OLD_LATENCY)

    assert (latency.low, latency.cpu_share, latency.why, latency.mode) == (None, None, [], "eager")
    assert BudgetPart.model_validate(OLD_BUDGET).table == ""
    assert SparsityPart.model_validate(OLD_SPARSITY).by_unit == {}


def measurement(created: str) -> Measurement:
    case = Case(device="cpu", batch=1, size=[8, 8], dtype="fp32", eager=LatencyPart.model_validate(OLD_LATENCY))
    return Measurement(
        run_id="run",
        weights="abc",
        created=created,
        request=Request(devices=["cpu"], batches=[1], size=None, threads=1, dtypes=["fp32"], seconds=1.0),
        environment={},
        allocator={},
        proof=ProofPart(equal=True, max_abs_diff={}, per_task={}, tolerance={}),
        compression=CompressionPart(
            parameters=2, bytes=2, dense_parameters=2, compact_parameters=1, dense_bytes=2, compact_bytes=1
        ),
        multiply_adds=Pair(dense=4, compact=2),
        cases=[case],
    )


def test_measurements_lie_beside_the_run_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folder("run").mkdir(parents=True)
    later, earlier = measurement("2026-02-01T00:00:00+00:00"), measurement("2026-01-01T00:00:00+00:00")
    paths = {save(store, found) for found in (later, earlier, later)}

    assert len(paths) == 2, "the same measurement is one file"
    assert measurements(store, "run") == [earlier, later]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.folder("run") / "measurements"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(json.dumps({"run_id": "run"}))

    with pytest.raises(UserError, match=r"x\.json: not a valid measurement"):
        measurements(store, "run")


def test_a_run_without_measurements_has_none(tmp_path: Path) -> None:
    assert measurements(Store(tmp_path), "run") == []


def test_a_ratio_of_nothing_is_not_infinite() -> None:
    assert Pair(dense=3, compact=0).ratio is None
    assert Pair(dense=3, compact=2).ratio == 1.5
