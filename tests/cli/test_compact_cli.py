"""`msbench compact` on a run that was never trained: its weights, mask and record are put into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

import msbench
from msbench.cli.main import app
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.handover import network
from msbench.plugins import Plugins, load_plugins
from msbench.records.record import Record, write_record
from msbench.runs.build import rebuild
from msbench.runs.plan import Command, make_plan
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.store.store import Store
from tests.conftest import msbench as command_line
from tests.sparsity.networks import unsettle

SPARSIFIER = {"name": "dense", "base": "dense", "plugin": "x", "version": "1", "params": {}}


def put(store: Store, plugins: Plugins, name: str, *, masked: bool, **changes: Any) -> None:
    """A finished run of the smoke preset with random weights."""
    asked = experiment(
        plugins, sparsifiers=["dense"], budget="natural", seeds=[0], choices={"preset": "smoke"}, overrides=[]
    )
    (planned,) = make_plan(plugins, [asked], store, store.root, Command((), ()))
    _, _, model = rebuild(plugins, planned.config)
    unsettle(model, 0)
    folder = store.folder(name)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    if masked:
        generator = torch.Generator().manual_seed(0)
        layers = Groups.of(model).layers
        Mask({layer.name: torch.rand(layer.count, generator=generator) < 0.5 for layer in layers}).save(
            folder / "mask.safetensors"
        )
    image = {"image": [3, 16, 16], "train": 1, "validation": 1, "test": 1}
    record = {
        "run_id": name, "status": "ok", "created": "", "preset": "smoke", "command": "msbench run …", "seed": 0,
        "sparsifier": SPARSIFIER, "dataset": {"name": "rooms", "params": {}, "synthetic": True, **image},
        "config": planned.config.model_dump(mode="json"),
    }  # fmt: skip
    write_record(Record.model_validate(record | changes), folder / "record.json")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    plugins = load_plugins()
    put(store, plugins, "sparse-run", masked=True)
    put(store, plugins, "dense-run", masked=False)
    put(store, plugins, "early-run", masked=False, dataset=None, status="failed")
    return store


def compact(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["compact", *arguments, "--results", str(store.root)])


def test_the_small_network_is_written_and_loads(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = compact(store, "sparse")
    assert done.exit_code == 0, done.output
    assert "Equal to the masked network for segmentation, depth, normals: greatest difference" in done.output
    assert "Wrote sparse-run.safetensors: " in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"sparse-run.safetensors", "msbench_load.py"}
    loaded = msbench.load_compact("sparse-run.safetensors")
    assert loaded.description["about"]["run"] == "sparse-run"
    assert list(loaded(torch.rand(1, 3, 16, 24))) == ["segmentation", "depth", "normals"]


@pytest.mark.parametrize("round_to", ["8", "fastest"])
def test_rounded_channels_are_proven_too(store: Store, tmp_path: Path, round_to: str) -> None:
    done = compact(store, "sparse-run", "--round-to", round_to, "-o", str(tmp_path / "x.safetensors"))
    assert done.exit_code == 0, done.output
    assert "Equal to the masked network" in done.output
    if round_to == "8":
        assert "layers keep multiples of 8 channels" in done.output


def test_a_dense_run_is_folded_only(store: Store, tmp_path: Path) -> None:
    done = compact(store, "dense-run", "-o", str(tmp_path / "x.pt2"))
    assert done.exit_code == 0, done.output
    assert "25,081 parameters (1.01× smaller)" in done.output
    assert "image [batch x 3 x height x width]" in done.output
    assert torch.export.load(tmp_path / "x.pt2")


def test_an_inexact_network_is_exit_code_1(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = network.compact_module

    def inexact(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        with torch.no_grad():
            found.model.get_parameter("heads.depth.predict.bias").add_(0.5)
        return found

    monkeypatch.setattr(network, "compact_module", inexact)
    done = compact(store, "sparse-run", "-o", str(tmp_path / "x.safetensors"))
    assert done.exit_code == 1
    assert "not handed over: depth: outputs differ by 0.5 in float32, allowed 0.0001" in done.output
    assert "Equal to" not in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sparse-rum"], "no run 'sparse-rum' in .*: did you mean 'sparse-run'?"),
        (["run"], "'run' names 3 runs"),
        (["early-run"], "run early-run is failed: it left no network"),
        (["sparse-run", "--to", "onxx"], "format 'onxx': did you mean 'onnx'?"),
        (["sparse-run", "--to", "torch", "-o", "x.onnx"], "x.onnx: name a file that ends in .safetensors"),
        (["sparse-run", "--round-to", "8x"], "--round-to 8x: give a number of channels from 1, or 'fastest'"),
        (["sparse-run", "--round-to", "0"], "round_to 0: give a number of channels from 1, or 'fastest'"),
        (["sparse-run", "-o", "nowhere/x.onnx"], "nowhere/x.onnx: no folder nowhere"),
    ],
)
def test_bad_input_is_a_line_that_says_what_to_do(store: Store, arguments: list[str], message: str) -> None:
    done = compact(store, *arguments)
    assert isinstance(done.exception, UserError)
    head, _, tail = message.partition(".*")
    assert str(done.exception).startswith(head)
    assert str(done.exception).endswith(tail) or not tail


def test_the_command_exits_with_2_on_an_unknown_run(store: Store, tmp_path: Path) -> None:
    done = command_line("compact", "sparse-rum", "--results", str(store.root), cwd=tmp_path, cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("msbench: no run 'sparse-rum'")


def test_help_has_an_example() -> None:
    assert "Example: msbench compact " in CliRunner().invoke(app, ["compact", "--help"]).output


@pytest.mark.long
def test_onnx_is_written_checked_and_timed(store: Store, tmp_path: Path) -> None:
    done = compact(store, "sparse-run", "-o", str(tmp_path / "x.onnx"))
    assert done.exit_code == 0, done.output
    assert "opset 18" in done.output
    assert "onnxruntime, 1 thread, batch 1, 16x16: dense " in done.output
