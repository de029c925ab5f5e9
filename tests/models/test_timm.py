"""timm's networks: their own features, their names, and what cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import fx, nn

from msbench.api import UserError, import_torchvision
from msbench.config import Experiment
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench_plugins.backbones.timm_features import Timm

import_torchvision()
timm = pytest.importorskip("timm")


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_maps_are_those_of_timm_with_the_same_weights(name: str, tmp_path: Path) -> None:
    """The file is of timm's whole network, classifier included, whose names its feature networks change."""
    torch.manual_seed(0)
    whole = timm.create_model(name, pretrained=False).eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="values were not used"):
        ours = Timm(model=name, weights=str(tmp_path / "w.pth")).build().eval()
    image = torch.rand(1, 3, 64, 64)

    with torch.inference_mode():
        maps, theirs = ours(image), whole.forward_intermediates(image, intermediates_only=True)

    assert len(maps) == len(theirs)
    for feature, expected, channels, stride in zip(maps, theirs, ours.channels, ours.strides, strict=True):
        torch.testing.assert_close(feature, expected)
        assert feature.shape == (1, channels, 64 // stride, 64 // stride)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_networks_can_be_traced_and_have_batch_norm_as_a_layer_of_its_own(name: str) -> None:
    network = Timm(model=name).build().eval()
    image = torch.rand(1, 3, 32, 32)

    with torch.inference_mode():
        for traced, eager in zip(fx.symbolic_trace(network)(image), network(image), strict=True):
            torch.testing.assert_close(traced, eager)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(type(norm) is nn.BatchNorm2d for norm in norms)


def test_its_own_state_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = Timm(model="test_efficientnet").build().state_dict()
    torch.save({f"backbone.{key}": value for key, value in state.items()}, tmp_path / "w.pth")

    again = Timm(model="test_efficientnet", weights=str(tmp_path / "w.pth")).build().state_dict()

    assert all(torch.equal(state[key], again[key]) for key in state)


def test_output_stride_is_held_where_timm_can() -> None:
    network = Timm(model="test_resnet", output_stride=8).build().eval()

    assert max(network.strides) == 8
    assert network(torch.rand(1, 3, 64, 64))[-1].shape[-1] == 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "resnet10x"}, "model.backbone.model=resnet10x: not a network of timm; nearest: resnet10t"),
        ({"model": "resnet18.a1_in1k"}, "names weights to download; write resnet18"),
        ({"model": "hf_hub:someone/something"}, "not a network of timm"),
        ({"model": "test_vit"}, r"images of one size only \(160x160\)"),
        ({"model": "densenet121", "output_stride": 8}, "timm gives no feature maps of it"),
        ({"output_stride": 4}, "model.backbone.output_stride: 4"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Timm(**fields).build()
    assert "\n" not in str(caught.value)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install msbench\[timm\]"):
        Timm(model="test_resnet")


def asked(plugins: Plugins, model: str, *overrides: str) -> Experiment:
    return experiment(
        plugins, sparsifiers=["dense"], budget=None, seeds=[0], choices={"model": model}, overrides=overrides
    )


def test_the_short_form_of_the_model_flag(plugins: Plugins) -> None:
    short, long = asked(plugins, "timm/test_resnet"), asked(plugins, "timm", "model.backbone.model=test_resnet")

    assert short.model.name == "timm/test_resnet"
    assert short.model.backbone == long.model.backbone
    assert short.model.backbone.params["model"] == "test_resnet"
    assert asked(plugins, "quick", "model=timm/test_resnet").model == short.model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("timm/test_resnot", "model.backbone.model=test_resnot: not a network of timm; nearest: test_resnet"),
        ("tim/test_resnet", "unknown model 'tim': did you mean 'timm'"),
        ("resnet18/test_resnet", "unknown key 'model.backbone.model' for 'resnet'"),
    ],
)
def test_wrong_short_forms_get_one_clear_line(plugins: Plugins, model: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked(plugins, model)


def test_a_network_that_timm_refuses_without_a_word_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError, match="test_resnet: timm gives no feature maps of it: AssertionError"):
        Timm(model="test_resnet").build()
