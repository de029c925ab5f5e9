"""`weights=path`: whose names match, what does not fit, and what makes a run another run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from msbench.api import UserError, import_torchvision
from msbench.config import Experiment
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs import plan
from msbench.runs.build import build_dataset, build_model, build_tasks, model_identity, rebuild
from msbench.runs.plan import Command, make_plan
from msbench.store.store import Store
from msbench_plugins.backbones.chain import MobileNetV2
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet

State = dict[str, Tensor]


def small(path: Path | str = "") -> SmallResNet:
    return SmallResNet(width=4, blocks=1, weights=str(path))


@pytest.fixture
def state() -> State:
    torch.manual_seed(7)
    return small().build().state_dict()


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize(
    "changed",
    [
        lambda state: state,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"module.backbone.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"encoder.{key}": value for key, value in state.items()}},
        lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
    ],
    ids=["plain", "parallel", "nested", "checkpoint", "encoder", "old"],
)
def test_a_saved_state_comes_back(changed: Callable[[State], dict[str, Any]], state: State, tmp_path: Path) -> None:
    torch.save(changed(state), tmp_path / "w.pth")

    assert not same(small().build().state_dict(), state)
    assert same(small(tmp_path / "w.pth").build().state_dict(), state)


def test_the_backbone_of_a_whole_network_in_safetensors_is_found(state: State, tmp_path: Path) -> None:
    heads = {"heads.depth.weight": torch.ones(2)}
    save_file({f"backbone.{key}": value for key, value in state.items()} | heads, tmp_path / "model.safetensors")

    assert same(small(tmp_path / "model.safetensors").build().state_dict(), state)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ResNet(depth=18, output_stride=32), "resnet18"), (MobileNetV2(width=0.25), "mobilenet_v2")],
)
def test_torchvisions_file_gives_torchvisions_features(ours: ResNet | MobileNetV2, theirs: str, tmp_path: Path) -> None:
    options = {"width_mult": 0.25} if theirs == "mobilenet_v2" else {}
    network = getattr(import_torchvision().models, theirs)(weights=None, **options).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    ours.weights = str(tmp_path / "w.pth")

    with pytest.warns(UserWarning, match=r"2 values were not used: (fc|classifier)"):
        backbone = ours.build().eval()

    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        pooled = backbone(image)[-1].mean((2, 3))
        last = network.fc if theirs == "resnet18" else network.classifier
        torch.testing.assert_close(last(pooled), network(image))


def test_what_is_missing_or_does_not_fit_is_named(state: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"

    torch.save({key: value for key, value in state.items() if key != "stem.0.weight"}, path)
    with pytest.raises(UserError, match=r"weights=.*1 of \d+ values are missing: stem.0.weight; the file has stem.1"):
        small(path).build()

    torch.save({**state, "stem.0.weight": torch.zeros(8, 3, 5, 5)}, path)
    with pytest.raises(UserError, match=r"stem.0.weight has shape \[8, 3, 5, 5\], the backbone's .* \[4, 3, 5, 5\]"):
        small(path).build()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no weights at all")

    with pytest.raises(UserError, match=rf"weights=.*{name}: no state dict of tensors"):
        small(tmp_path / name).build()


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"stem.0.weight": torch.nn.Conv2d(1, 1, 1)}, tmp_path / "w.pth")

    with pytest.raises(UserError, match="no state dict of tensors"):
        small(tmp_path / "w.pth").build()


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(1)]])
def test_a_file_without_tensors_by_name_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")

    with pytest.raises(UserError, match="has no tensors by name"):
        small(tmp_path / "w.pth").build()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights=.*gone.pth: no such file"):
        small(tmp_path / "gone.pth").build()


def asked(plugins: Plugins, path: Path | str) -> Experiment:
    overrides = [f"model.backbone.weights={path}"] if path else []
    choices = {"preset": "smoke"}
    return experiment(plugins, sparsifiers=["dense"], budget=None, seeds=[0], choices=choices, overrides=overrides)


def identity(plugins: Plugins, path: Path | str) -> dict[str, Any]:
    return model_identity(plugins, asked(plugins, path).model)


def test_the_files_content_is_part_of_the_model_and_its_place_is_not(plugins: Plugins, tmp_path: Path) -> None:
    here, there, other = (tmp_path / name for name in ("a.pth", "b.pth", "c.pth"))
    here.write_bytes(b"one")
    shutil.copy(here, there)
    other.write_bytes(b"two")

    found = [identity(plugins, path) for path in (here, there, other, "")]

    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[3]["backbone"]["params"]["weights"] == ""
    sha256_of_one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert found[0]["backbone"]["params"]["weights"] == f"sha256:{sha256_of_one}"
    with pytest.raises(UserError, match="gone.pth: no such file"):
        identity(plugins, tmp_path / "gone.pth")


def test_a_run_is_another_run_when_the_file_changes_and_not_when_it_moves(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("host_digest", "class_digest"):  # the code is no part of the question, and may be edited meanwhile
        monkeypatch.setattr(plan, code, lambda *_: "code")

    def run_id(path: Path) -> str:
        (run,) = make_plan(plugins, [asked(plugins, path)], Store(tmp_path), tmp_path, Command((), ()))
        return run.run_id

    first, moved = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"one")
    shutil.copy(first, moved)
    before = run_id(first)

    assert run_id(moved) == before
    first.write_bytes(b"two")
    assert run_id(first) != before


def test_a_finished_run_is_rebuilt_without_the_file(plugins: Plugins, tmp_path: Path) -> None:
    """The record has the file's digest in place of its path."""
    found = asked(plugins, tmp_path / "gone.pth")
    config = found.run(found.sparsifiers[0], 0)

    with pytest.raises(UserError, match="no such file"):
        rebuild(plugins, config)
    _, tasks, model = rebuild(plugins, config, initial=False)
    assert list(model.heads) == [task.name for task in tasks]


def test_the_files_weights_are_the_runs_initial_weights_for_every_seed(plugins: Plugins, tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = SmallResNet(width=8, blocks=1).build().state_dict()
    torch.save(state, tmp_path / "w.pth")
    config = asked(plugins, tmp_path / "w.pth")
    tasks = build_tasks(build_dataset(plugins, config.data), config.tasks)

    models = [build_model(plugins, config.model, tasks, seed) for seed in (0, 1)]

    assert all(same(model.backbone.state_dict(), state) for model in models)
    assert not same(models[0].heads.state_dict(), models[1].heads.state_dict())
