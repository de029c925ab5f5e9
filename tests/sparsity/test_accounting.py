"""Accounting against masks counted by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from msbench.sparsity.accounting import account, nonzero_mask
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask


def network() -> nn.Module:
    """Weights: backbone a 3*4*9 = 108 and b 4*5 = 20; heads x 5*2 = 10 and y 5*3 = 15."""
    backbone = nn.ModuleDict({"a": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "b": nn.Conv2d(4, 5, 1)})
    heads = nn.ModuleDict({"x": nn.Linear(5, 2), "y": nn.Sequential(nn.Linear(5, 3))})
    return nn.ModuleDict({"backbone": backbone, "heads": heads})


def keep(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


MASK = Mask({"backbone.a": keep(1, 0, 1), "backbone.b": keep(0, 0, 0, 1), "heads.x": keep(1, 1, 1, 1, 0)})


def test_structured_mask_over_the_backbone() -> None:
    model = network()

    result = account(model, MASK, Groups.of(model, "backbone"))

    assert result.parameters == pytest.approx(1 - (72 + 5) / 128)
    assert result.groups == pytest.approx(1 - 3 / 7)
    assert result.per_layer == pytest.approx({"backbone.a": 1 / 3, "backbone.b": 3 / 4})
    assert result.channels == {"backbone.a": (2, 3), "backbone.b": (1, 4)}
    assert result.per_component == pytest.approx({"backbone": 1 - 77 / 128, "heads.x": 0.2, "heads.y": 0.0})


def test_structured_mask_over_the_model() -> None:
    model = network()

    result = account(model, MASK, Groups.of(model, "model"))

    assert result.parameters == pytest.approx(1 - (77 + 8 + 15) / 153)
    assert result.groups == pytest.approx(1 - (3 + 4 + 5) / 17)


def test_unstructured_mask_counts_elements_and_wholly_empty_groups() -> None:
    model = network()
    kept = torch.ones(5, 4, 1, 1, dtype=torch.bool)
    kept[:, 0] = False
    kept[0, 1] = False

    result = account(model, Mask({"backbone.b": kept}), Groups.of(model, "backbone"))

    assert result.per_layer["backbone.b"] == pytest.approx(6 / 20)
    assert result.channels["backbone.b"] == (3, 4)
    assert result.parameters == pytest.approx(6 / 128)


def test_empty_mask_is_dense() -> None:
    model = network()

    result = account(model, Mask({}), Groups.of(model))

    assert result.parameters == result.groups == 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_zeros_of_the_weights_tell_the_same_as_the_mask(kept: list[bool]) -> None:
    model = network()
    mask = Mask({"backbone.a": keep(*kept[:3]), "backbone.b": keep(*kept[3:])})
    mask.apply(model)

    meant, found = (account(model, each, Groups.of(model)) for each in (mask, nonzero_mask(model)))

    assert found == meant
