"""Masks, weights, shared starts and packed arrays that are cut or changed: refused in one line, or used as they are."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from msbench.data.arrays import TENSOR
from msbench.data.manifest import MANIFEST, Packed
from msbench.errors import UserError
from msbench.runs.starts import ABOUT, STATE, StoredStarts
from msbench.runs.verification.reloaded import load_mask, load_weights
from tests.fuzz.mutations import mutated

SHARED: dict[str, Any] = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
MASK = save({"backbone.stem.conv": torch.tensor([1, 0, 1], dtype=torch.uint8)})
NETWORK = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
WEIGHTS = save(NETWORK.state_dict())
ARRAY = save({TENSOR: torch.zeros(2, 3, 4, 4, dtype=torch.uint8)})


def one_line(error: UserError, path: Path) -> None:
    assert str(path) in str(error)
    assert len(str(error).splitlines()) == 1


@settings(max_examples=150, **SHARED)
@given(raw=mutated(MASK))
def test_mutated_masks(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    path.write_bytes(raw)
    try:
        mask = load_mask(path)
    except UserError as error:
        one_line(error, path)
    else:
        assert mask is not None
        assert all(value.dtype == torch.bool for value in mask.values())


@settings(max_examples=150, **SHARED)
@given(raw=mutated(WEIGHTS))
def test_mutated_weights(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    try:
        load_weights(NETWORK, path)
    except UserError as error:
        one_line(error, path)


def stored(folder: Path) -> tuple[StoredStarts, Path]:
    """A shared start as it was kept, and where."""
    from msbench.training.state import State

    starts = StoredStarts(folder, {"data": "toy"}, frozenset({4}))
    assert starts.save({"steps": 1}, State({"weight": torch.arange(6.0)}, {"step": 4, "samples": 32}))
    return starts, next((folder / "starts").glob("*/4"))


@settings(max_examples=80, **SHARED)
@given(data=st.data(), name=st.sampled_from([STATE, ABOUT]))
def test_a_mutated_start_is_never_gone_on_from(
    data: st.DataObject, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    starts, folder = stored(tmp_path)
    good = (folder / name).read_bytes()
    raw = data.draw(mutated(good))
    (folder / name).write_bytes(raw)
    found = starts.find({"steps": 1}, 4)
    if found is not None:
        assert torch.equal(found.tensors["weight"], torch.arange(6.0))
        assert dict(found.facts) == {"step": 4, "samples": 32}


def packed(folder: Path) -> dict[str, Any]:
    """A packed dataset of one part."""
    folder.mkdir(exist_ok=True)
    (folder / "train").mkdir(exist_ok=True)
    arrays = {}
    for name in ("train/image", "train/target.depth", "train/valid.depth"):
        (folder / f"{name}.safetensors").write_bytes(ARRAY)
        arrays[name] = {"bytes": len(ARRAY), "sha256": "0" * 64}
    return {
        "format": 1, "dataset": "toy", "parameters": {}, "description": {}, "facts": {}, "state": "",
        "counts": {"train": 2}, "arrays": arrays, "dropped": {},
    }  # fmt: skip


def read_packed(folder: Path) -> None:
    try:
        found = Packed.open(folder)
        if any(name.startswith("train/") for name in found.manifest.arrays):
            found.samples("train")
    except UserError as error:
        one_line(error, folder)


@settings(max_examples=60, **SHARED)
@given(data=st.data())
def test_mutated_manifests(data: st.DataObject, tmp_path: Path) -> None:
    raw = data.draw(mutated(json.dumps(packed(tmp_path / "p")).encode()))
    (tmp_path / "p" / MANIFEST).write_bytes(raw)
    read_packed(tmp_path / "p")


@settings(max_examples=60, **SHARED)
@given(data=st.data(), name=st.sampled_from(["image", "target.depth", "valid.depth"]))
def test_mutated_arrays_of_the_same_size(data: st.DataObject, name: str, tmp_path: Path) -> None:
    manifest = packed(tmp_path / "p")
    raw = data.draw(mutated(ARRAY))
    (tmp_path / "p" / "train" / f"{name}.safetensors").write_bytes(raw)
    manifest["arrays"][f"train/{name}"]["bytes"] = len(raw)
    (tmp_path / "p" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    read_packed(tmp_path / "p")


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("image", torch.zeros(2, 3, 4, 4)),
        ("image", torch.zeros(2, 3, dtype=torch.uint8)),
        ("target.depth", torch.zeros(5, 4, 4)),
        ("target.depth", torch.tensor(1.0)),
        ("target.other", torch.zeros(2, 4, 4)),
    ],
)
def test_arrays_that_do_not_belong_together(name: str, tensor: torch.Tensor, tmp_path: Path) -> None:
    manifest, raw = packed(tmp_path / "p"), save({TENSOR: tensor})
    (tmp_path / "p" / "train" / f"{name}.safetensors").write_bytes(raw)
    manifest["arrays"][f"train/{name}"] = {"bytes": len(raw), "sha256": "0" * 64}
    (tmp_path / "p" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UserError, match="the arrays of 'train' do not belong together"):
        Packed.open(tmp_path / "p").samples("train")


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "train/../../outside", "train/a\x00b", "", "nowhere/image"])
def test_an_array_cannot_lie_outside_its_folder(name: str, tmp_path: Path) -> None:
    manifest = packed(tmp_path / "p")
    (tmp_path / "outside.safetensors").write_bytes(ARRAY)
    manifest["arrays"][name] = {"bytes": len(ARRAY), "sha256": "0" * 64}
    (tmp_path / "p" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UserError, match=MANIFEST):
        Packed.open(tmp_path / "p")
