"""msbench.compact: any module of the user's own, and what it says about bad input."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import msbench
from msbench.errors import UserError
from msbench.handover import HandOverError, network
from tests.handover.networks import Classifier, compacted, images, mask_of
from tests.handover.networks import network as build
from tests.sparsity.networks import Branching

EXAMPLE = torch.zeros(1, 3, 16, 16)


def two() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("elements", [False, True])
def test_masks_name_input_channels_or_weights(elements: bool) -> None:
    model, kept = two(), torch.tensor([True, False, True, False])
    mask = {"2": kept.view(1, 4, 1, 1).expand(2, 4, 1, 1) if elements else kept}
    before = copy.deepcopy(model.state_dict())
    found = msbench.compact(model, mask, EXAMPLE)
    assert found.report.channels == {"0": (3, 2), "2": (2, 2)}
    assert found.proof.equal
    assert found.tasks == ("output",)
    with torch.no_grad():
        model[2].weight[:, ~kept] = 0
        torch.testing.assert_close(found.model(images()[0]), model(images()[0]))
        model[2].weight.copy_(before["2.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "left untouched"


def test_a_model_in_training_mode_stays_so() -> None:
    model = Classifier().train()
    found = msbench.compact(model, mask_of(model), EXAMPLE)
    assert model.training
    assert not found.model.training
    assert not found.masked.training


class Returns(nn.Module):
    def __init__(self, what: Any) -> None:
        super().__init__()
        self.conv, self.what = nn.Conv2d(3, 2, 1), what

    def forward(self, image: Tensor) -> Any:
        return self.what(self.conv(image))


@pytest.mark.parametrize(
    ("model", "mask", "example", "message"),
    [
        (two(), {"3": torch.ones(4)}, EXAMPLE, "mask: no layer '3' with a weight; known: 0, 2"),
        (two(), {"1": torch.ones(4)}, EXAMPLE, "mask: no layer '1' with a weight"),
        (two(), {"2": torch.ones(3)}, EXAMPLE, "mask of '2': shape (3,), must be (4,) or (2, 4, 1, 1)"),
        (two(), {}, torch.zeros(1, 4, 8, 8), "example (1, 4, 8, 8): the model fails on it: RuntimeError: "),
        (two().half(), {}, EXAMPLE, "all float32 or all float64, got float16"),
        (nn.ReLU(), {}, EXAMPLE, "all float32 or all float64, got no parameters"),
        (Returns(lambda x: (x, x)), {}, EXAMPLE, "model: returns a tuple; must be a tensor or a dict"),
        (Returns(lambda x: {"a": [x]}), {}, EXAMPLE, "model: returns a dict; must be a tensor or a dict"),
    ],
)
def test_bad_input_is_one_line(model: nn.Module, mask: dict[str, Tensor], example: Tensor, message: str) -> None:
    with pytest.raises(UserError) as caught:
        msbench.compact(model, mask, example)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("x.zip", None, "name a file that ends in .safetensors, .onnx, .pt2"),
        ("x.onnx", "torch", "name a file that ends in .safetensors"),
        ("x.onnx", "onxx", "format 'onxx': did you mean 'onnx'?"),
        ("nowhere/x.pt2", None, "nowhere/x.pt2: no folder "),
    ],
)
def test_bad_paths_are_one_line(name: str, format: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        compacted("bordered").save(tmp_path / name, format)
    assert message in str(caught.value)


def test_an_inexact_network_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = network.compact_module

    def inexact(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        with torch.no_grad():
            found.model.get_parameter("predict.weight").mul_(1.5)
        return found

    monkeypatch.setattr(network, "compact_module", inexact)
    model = build("classifier")
    found = msbench.compact(model, mask_of(model), torch.randn(1, 3, 16, 24))
    assert not found.proof.equal
    for name in ("x.safetensors", "x.onnx", "x.pt2"):
        with pytest.raises(HandOverError, match=r"output: outputs differ by \d.* in float32, allowed 0.0001"):
            found.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_network_that_cannot_be_traced_says_why(tmp_path: Path) -> None:
    found = msbench.compact(Branching(), {}, EXAMPLE)
    with pytest.raises(HandOverError, match="the network cannot be shrunk: TraceError"):
        found.save(tmp_path / "x.safetensors")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"x.safetensors: No space left on device"):
        compacted("bordered").save(tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_changed_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        compacted("bordered").reason = "none"  # type: ignore[misc]
