"""Multiply-adds against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from msbench.measure.flops import layer_multiply_adds, multiply_adds, theoretical_speedup
from msbench.sparsity.mask import Mask


def network() -> nn.Module:
    """On 8x8: a 8*8*4*3*9 = 6912, b at stride 2 4*4*6*4*9 = 3456, c 6*5 = 30."""
    a, b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
    backbone = nn.Sequential(a, nn.BatchNorm2d(4), nn.ReLU(), b)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    return _Network(backbone, head)


class _Network(nn.Module):
    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(image))


IMAGE = torch.zeros(2, 3, 8, 8)


def test_multiply_adds_are_those_of_convolutions_and_linear_layers() -> None:
    assert multiply_adds(network(), IMAGE) == 2 * (6912 + 3456 + 30)


def test_layers_add_up_to_the_network() -> None:
    model = network()

    costs = layer_multiply_adds(model, IMAGE)

    assert costs == {"backbone.0": 2 * 6912, "backbone.3": 2 * 3456, "head.2": 2 * 30}
    assert sum(costs.values()) == multiply_adds(model, IMAGE)


def test_counting_leaves_training_mode_and_statistics_alone() -> None:
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    multiply_adds(model, IMAGE + 1)
    theoretical_speedup(model, Mask({}), IMAGE + 1)

    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_theoretical_speedup_drops_each_channel_from_its_own_layer_only() -> None:
    mask = Mask({"backbone.3": torch.tensor([True, False, False, False])})

    assert theoretical_speedup(network(), mask, IMAGE) == pytest.approx((6912 + 3456) / (6912 + 3456 / 4))
    model_wide = (6912 + 3456 + 30) / (6912 + 3456 / 4 + 30)
    assert theoretical_speedup(network(), mask, IMAGE, "model") == pytest.approx(model_wide)


def test_theoretical_speedup_counts_elements_of_an_unstructured_mask() -> None:
    kept = torch.zeros(4, 3, 3, 3, dtype=torch.bool)
    kept[:2] = True

    speedup = theoretical_speedup(network(), Mask({"backbone.0": kept}), IMAGE)

    assert speedup == pytest.approx((6912 + 3456) / (6912 / 2 + 3456))


def test_theoretical_speedup_is_infinite_when_nothing_is_left() -> None:
    nothing = Mask({"backbone.0": torch.zeros(3), "backbone.3": torch.zeros(4)})

    assert theoretical_speedup(network(), nothing, IMAGE) == float("inf")
