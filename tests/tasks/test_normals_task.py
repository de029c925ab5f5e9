"""Normals against geometry and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from msbench.tasks.normals import NormalsTask

from .conftest import broadcast, evaluate, example

TASK = NormalsTask()


def tilted(degrees: Tensor) -> Tensor:
    """Unit vectors [1, 3, 1, n] at these angles to the viewing axis."""
    angle = degrees.double().deg2rad()
    return torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()])[None, :, None, :]


def frontal(count: int) -> Tensor:
    return tilted(torch.zeros(count))


def whole(count: int) -> Tensor:
    return torch.ones(1, 1, count, dtype=torch.bool)


def angles(output: Tensor, target: Tensor, valid: Tensor) -> np.ndarray:
    p, g = output.numpy(), target.numpy()
    cosine = (p * g).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(g, axis=1)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))[valid.numpy()]


def test_loss_is_one_minus_cosine():
    output, target, valid = example(TASK, 0)
    expected = 1 - np.cos(np.radians(angles(output, target, valid)))
    assert float(TASK.loss(output, target, valid)) == pytest.approx(expected.mean(), rel=1e-9)


def test_loss_ignores_lengths():
    output, target, valid = example(TASK, 1)
    assert float(TASK.loss(7 * output, 0.3 * target, valid)) == pytest.approx(float(TASK.loss(output, target, valid)))


def test_metrics_equal_numpy_over_the_pooled_part():
    output, target, valid = example(TASK, 2, images=4, size=15)
    found = evaluate(TASK, output, target, valid)
    angle = angles(output, target, valid)
    assert found["mean"] == pytest.approx(angle.mean(), rel=1e-9)
    assert found["cosine"] == pytest.approx(np.cos(np.radians(angle)).mean(), abs=1e-9)
    assert found["median"] == pytest.approx(np.percentile(angle, 50, method="lower"), abs=0.005)
    for name, bound in (("within_11_25", 11.25), ("within_22_5", 22.5), ("within_30", 30)):
        assert found[name] == pytest.approx(100 * (angle <= bound).mean())


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 0.5, 45.0, 90.0, 179.999, 180.0])
def test_angles_are_exact_in_single_precision_where_arccos_is_not(degrees):
    found = evaluate(TASK, tilted(torch.tensor([degrees])).float(), frontal(1).float(), whole(1))
    assert found["mean"] == pytest.approx(degrees, abs=2e-5)
    assert found["median"] == pytest.approx(degrees, abs=0.0051)


def test_bounds_are_inclusive():
    # at 0 degrees from itself, the share within every bound is everything
    assert evaluate(TASK, frontal(4), frontal(4), whole(4))["within_11_25"] == 100.0
    found = evaluate(TASK, tilted(torch.tensor([11.24, 11.26, 22.49, 29.99])), frontal(4), whole(4))
    assert [found[name] for name in ("within_11_25", "within_22_5", "within_30")] == [25.0, 75.0, 100.0]


def test_mirroring_turns_the_first_component_and_moves_the_pixel():
    target = torch.zeros(1, 3, 1, 2)
    target[0, :, 0, 0] = torch.tensor([0.6, 0.0, 0.8])
    target[0, :, 0, 1] = torch.tensor([0.0, 1.0, 0.0])
    mirrored = TASK.flip(target)
    assert mirrored[0, :, 0, 1].tolist() == pytest.approx([-0.6, 0.0, 0.8])
    assert mirrored[0, :, 0, 0].tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert torch.equal(TASK.flip(target[0]), mirrored[0])


def test_constant_is_the_mean_direction():
    target = torch.cat([tilted(torch.tensor([40.0])), tilted(torch.tensor([-20.0]))], dim=-1)
    assert TASK.constant(target, whole(2)).tolist() == pytest.approx(
        [math.sin(math.radians(10)), 0, math.cos(math.radians(10))]
    )
    found = evaluate(TASK, broadcast(TASK.constant(target, whole(2)), whole(2)), target, whole(2))
    assert found["mean"] == pytest.approx(30)


def test_opposite_normals_leave_a_unit_vector_as_constant():
    target = torch.cat([frontal(1), -frontal(1)], dim=-1)
    assert TASK.constant(target, whole(2)).norm().item() == pytest.approx(1)


def test_an_output_of_zero_has_a_bounded_gradient():
    output = torch.zeros(1, 3, 1, 1, requires_grad=True)
    TASK.loss(output, frontal(1).float(), whole(1)).backward()
    assert output.grad.abs().max() <= 1e4


def test_picture_is_half_of_the_component_plus_one():
    picture = TASK.picture(frontal(1)[0], whole(1)[0])
    assert picture.flatten().tolist() == [128, 128, 255]
