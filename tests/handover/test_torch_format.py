"""The torch format: what is loaded computes what was saved, at any size, and can be trained on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import msbench
from msbench.errors import UserError
from msbench.handover import HandOverError, loader
from tests.handover.networks import BUILDERS, by_task, compacted, images, network


def assert_same(one: nn.Module, other: nn.Module, shapes: list[Tensor]) -> None:
    for image in shapes:
        with torch.inference_mode():
            expected, found = by_task(one(image)), by_task(other(image))
        assert list(expected) == list(found)
        for task, value in expected.items():
            torch.testing.assert_close(found[task], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "one-size"])
def test_a_loaded_network_computes_what_was_saved(name: str, tmp_path: Path) -> None:
    saved = compacted(name).save(tmp_path / "small.safetensors")
    loaded = msbench.load_compact(saved.path)
    assert saved.image == ("batch", 3, "height", "width")
    assert saved.max_abs_diff < 1e-6
    assert_same(compacted(name).model, loaded, images())
    numbers = sum(value.numel() for value in loaded.state_dict().values() if value.is_floating_point())
    assert numbers == compacted(name).report.compact_parameters
    assert numbers <= sum(parameter.numel() for parameter in network(name).parameters())


def test_layers_keep_the_names_that_they_had(tmp_path: Path) -> None:
    loaded = msbench.load_compact(compacted("residual").save(tmp_path / "x.safetensors").path)
    assert isinstance(loaded.get_submodule("backbone.stem.0"), nn.Conv2d)
    ours = {name.removeprefix("size_maps.maps.") for name in compacted("residual").model.state_dict()}
    assert set(loaded.state_dict()) == ours


def test_float64_stays_float64(tmp_path: Path) -> None:
    model = network("one-size").double()
    example = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    saved = msbench.compact(model, {}, example).save(tmp_path / "x.safetensors")
    network("one-size").float()
    assert saved.image == ("batch", 3, 8, 8)
    assert msbench.load_compact(saved.path)(example)["class"].dtype == torch.float64


def test_size_maps_are_kept_for_one_size_and_made_anew_for_another(tmp_path: Path) -> None:
    loaded = msbench.load_compact(compacted("bordered").save(tmp_path / "x.safetensors").path)
    assert loaded._static
    small, large = images((1, 3, 8, 8), (2, 3, 12, 8))
    assert_same(compacted("bordered").model, loaded, [small, large, large, small])
    with torch.inference_mode():
        loaded(small)
        kept = loaded._kept
        loaded(2 * small)
        assert loaded._kept is kept
        state = {name: value * 2 if value.is_floating_point() else value for name, value in loaded.state_dict().items()}
        before = loaded(small)
    loaded.load_state_dict(state)
    with torch.inference_mode():
        assert not torch.allclose(loaded(small), before), "new weights, new maps"


def test_nothing_is_kept_where_only_shapes_are_asked_for(tmp_path: Path) -> None:
    loaded = msbench.load_compact(compacted("bordered").save(tmp_path / "x.safetensors").path)
    (image,) = images((1, 3, 8, 8))
    with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        loaded(mode.from_tensor(image))
    assert_same(compacted("bordered").model, loaded, [image])


def test_a_loaded_network_can_be_trained_on(tmp_path: Path) -> None:
    loaded = msbench.load_compact(compacted("residual").save(tmp_path / "x.safetensors").path).train()
    sum(value.square().mean() for value in loaded(images()[0]).values()).backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())
    assert not msbench.load_compact(tmp_path / "x.safetensors").training


def test_a_loaded_network_can_be_exported(tmp_path: Path) -> None:
    loaded = msbench.load_compact(compacted("bordered").save(tmp_path / "x.safetensors").path)
    (image,) = images((2, 3, 8, 8))
    assert_same(loaded, torch.export.export(loaded, (image,)).module(), [image])


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    compacted("residual").save(tmp_path / "x.safetensors", about={"run": "a run"})
    with safe_open(str(tmp_path / "x.safetensors"), framework="pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["version"]) == ("msbench-compact", "1")
    about = json.loads(metadata["network"])["about"]
    assert about["run"] == "a run"
    assert about["tasks"] == ["seg", "depth", "attr"]
    assert about["proof"]["max_abs_diff"]["float64"] < 1e-9


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules["msbench"] = sys.modules["msbench_plugins"] = None  # importing them would fail
import torch
from msbench_load import load
network = load(sys.argv[1] + "/x.safetensors")
print({task: round(float(value.double().sum()), 4) for task, value in network(torch.ones(1, 3, 16, 24)).items()})
print([name for name in sys.modules if name.startswith("msbench") and sys.modules[name] is not None])
"""


def test_the_loader_beside_the_file_needs_torch_and_safetensors_only(tmp_path: Path) -> None:
    compacted("residual").save(tmp_path / "x.safetensors")
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    with torch.inference_mode():
        expected = compacted("residual").model(torch.ones(1, 3, 16, 24))
    sums, modules = done.stdout.strip().splitlines()
    assert json.loads(sums.replace("'", '"')) == pytest.approx(
        {task: float(value.double().sum()) for task, value in expected.items()}, abs=1e-3
    )
    assert modules == "['msbench_load']"


def test_a_layer_without_a_word_in_the_format_is_named(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Threshold(0.1, 0.0), nn.Conv2d(4, 2, 1))
    found = msbench.compact(model, {}, torch.randn(1, 3, 8, 8))
    with pytest.raises(HandOverError, match="^1: the torch format has no layer Threshold"):
        found.save(tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_file_that_loads_to_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text("what was here before")
    other = msbench.load_compact(compacted("bordered").save(tmp_path / "y.safetensors").path)
    with torch.no_grad():
        other.get_parameter("third.weight").mul_(1.1)
    monkeypatch.setattr(loader, "load", lambda path: other)
    with pytest.raises(HandOverError, match="output: outputs differ by"):
        compacted("bordered").save(path)
    assert path.read_text() == "what was here before"
    assert {file.name for file in tmp_path.iterdir()} == {"x.safetensors", "y.safetensors", "msbench_load.py"}


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.safetensors: no such file"):
        msbench.load_compact(tmp_path / "nowhere.safetensors")
