"""Criteria of the weights alone, against torch-pruning, scipy and cases by hand."""

from __future__ import annotations

import pytest
import scipy.spatial.distance
import torch
import torch_pruning as tp
from hypothesis import given
from hypothesis import strategies as st

from msbench_plugins.criteria.weights import GeometricMedian, Lamp, Magnitude, Random, _lamp
from tests.criteria.isolated import RAW, Make, judged


@pytest.mark.parametrize("norm", [1, 2])
def test_magnitude_is_torch_prunings_per_weight(make_trainer: Make, norm: int) -> None:
    trainer = make_trainer()
    scores = Magnitude(norm=norm).score(trainer)  # type: ignore[arg-type]
    for layer in trainer.groups.layers:
        expected = judged(tp.importance.GroupMagnitudeImportance(p=norm, **RAW), trainer.weights[layer.name])
        assert torch.allclose(scores[layer.name] ** norm * layer.size, expected, rtol=1e-5)


def test_magnitude_does_not_depend_on_the_groups_size(make_trainer: Make) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.copy_(0.3 * weight.sign())
    for norm in (1, 2):
        for score in Magnitude(norm=norm).score(trainer).values():  # type: ignore[arg-type]
            assert torch.allclose(score, torch.full_like(score, 0.3))


def test_lamp_is_torch_prunings(make_trainer: Make) -> None:
    trainer = make_trainer()
    for name, score in Lamp().score(trainer).items():
        expected = judged(tp.importance.LAMPImportance(group_reduction="sum"), trainer.weights[name])
        assert torch.allclose(score.float(), expected, rtol=1e-4)


def test_lamp_by_hand(make_trainer: Make) -> None:
    trainer = make_trainer()
    name, weight = next(iter(trainer.weights.items()))
    with torch.no_grad():
        weight.zero_()
        weight[0, :, 0, 0] = torch.tensor([2.0, -1.0, 3.0])
    # squares 4, 1, 9 over what is at least as large: 4 / 13, 1 / 14, 9 / 9
    assert torch.allclose(Lamp().score(trainer)[name].float(), torch.tensor([4 / 13, 1 / 14, 1.0]))
    elements = Lamp().score_elements(trainer)[name]
    assert torch.allclose(elements[0, :, 0, 0].float(), torch.tensor([4 / 13, 1 / 14, 1.0]))
    assert elements.count_nonzero() == 3


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=30))
def test_lamp_keeps_the_order_and_the_largest_has_one(values: list[float]) -> None:
    squares = torch.tensor(values, dtype=torch.float64)
    scores = _lamp(squares)
    assert (scores[squares.argsort(stable=True)].diff() >= -1e-12).all()
    assert scores.max() == (1 if squares.max() > 0 else 0)
    assert torch.allclose(_lamp(squares * 7), scores), "a layer's scale must not matter"


def test_fpgm_is_the_mean_distance_by_scipy(make_trainer: Make) -> None:
    trainer = make_trainer()
    for layer in trainer.groups.layers:
        vectors = trainer.weights[layer.name].detach().transpose(0, 1).flatten(1).double().numpy()
        distances = scipy.spatial.distance.cdist(vectors, vectors)
        expected = torch.from_numpy(distances).sum(0) / (layer.count - 1) / layer.size**0.5
        assert torch.allclose(GeometricMedian().score(trainer)[layer.name], expected)


def test_fpgm_is_torch_prunings_where_no_weight_is_negative(make_trainer: Make) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.abs_()
    scores = GeometricMedian().score(trainer)
    for layer in trainer.groups.layers:
        expected = judged(tp.importance.FPGMImportance(p=1, **RAW), trainer.weights[layer.name])
        found = scores[layer.name].float() * (layer.count - 1) * layer.size**0.5
        assert torch.allclose(found, expected, rtol=1e-4)


def test_fpgm_drops_the_central_group_and_ignores_dead_ones(make_trainer: Make) -> None:
    trainer = make_trainer()
    name = trainer.groups.layers[1].name  # four channels: three on a line, one dead
    weight = trainer.weights[name]
    with torch.no_grad():
        weight.zero_()
        weight[0, :, 0, 0] = torch.tensor([1.0, 5.0, 9.0, 0.0])
    size = weight[:, 0].numel() ** 0.5
    found = GeometricMedian().score(trainer)[name]
    assert torch.allclose(found, torch.tensor([6.0, 4.0, 6.0, 0.0], dtype=torch.float64) / size)


def test_random_is_uniform_and_differs_from_call_to_call(make_trainer: Make) -> None:
    trainer = make_trainer(width=16)
    first, second = Random().score(trainer), Random().score(trainer)
    everything = torch.cat(list(first.values()))
    assert ((everything >= 0) & (everything < 1)).all()
    assert everything.mean() == pytest.approx(0.5, abs=0.05)
    assert not any(torch.equal(first[name], second[name]) for name in first)
