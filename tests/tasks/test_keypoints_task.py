"""Keypoint strength against formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msbench.tasks.keypoints import KeypointsTask

from .conftest import broadcast, evaluate, example

TASK = KeypointsTask()


def pooled(seed):
    output, target, valid = example(TASK, seed)
    return (output, target, valid), output.numpy()[:, 0][valid.numpy()], target.numpy()[valid.numpy()]


def test_loss_is_the_mean_absolute_error_of_the_raw_output():
    batch, p, g = pooled(0)
    assert float(TASK.loss(*batch)) == pytest.approx(np.abs(p - g).mean(), rel=1e-12)


def test_the_gradient_does_not_fade_at_nothing():
    output = torch.full((1, 1, 2, 2), 0.01, requires_grad=True)
    TASK.loss(output, torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)).backward()
    assert output.grad.flatten().tolist() == [0.25] * 4


def test_metrics_equal_numpy_over_the_pooled_part():
    batch, p, g = pooled(1)
    found = evaluate(TASK, *batch)
    error = np.abs(p.clip(0, 1) - g)
    assert found["mae"] == pytest.approx(error.mean())
    assert found["mae_nonzero"] == pytest.approx(error[g != 0].mean())
    assert found["mae_on_keypoints"] == pytest.approx(error[g >= 0.5].mean())
    assert error[g >= 0.5].size < error[g != 0].size < error.size


def test_a_part_without_keypoints_has_no_error_on_them():
    output, target, valid = example(TASK, 2)
    found = evaluate(TASK, output, target * 0.4, valid)
    assert found["mae_on_keypoints"] == 0.0
    assert found["mae"] > 0
    assert found["mae_nonzero"] > 0
    assert evaluate(TASK, output, target * 0.0, valid)["mae_nonzero"] == 0.0


def test_huber_loss_is_quadratic_below_its_delta():
    batch, p, g = pooled(5)
    e = np.abs(p - g)
    expected = np.where(e <= 0.4, 0.5 * e**2, 0.4 * (e - 0.2)).mean()
    assert float(KeypointsTask(huber_delta=0.4).loss(*batch)) == pytest.approx(expected, rel=1e-9)


def test_constant_has_the_error_of_the_median():
    _, target, valid = example(TASK, 3)
    known = target[valid].numpy()
    found = evaluate(TASK, broadcast(TASK.constant(target, valid), valid), target, valid)
    assert found["mae"] == pytest.approx(np.abs(known - np.percentile(known, 50, method="lower")).mean(), abs=1e-5)


def test_picture_is_brighter_where_keypoints_are_stronger():
    picture = TASK.picture(torch.tensor([[0.0, 0.5, 1.0]]), torch.ones(1, 3, dtype=torch.bool)).sum(0)[0].tolist()
    assert picture == sorted(picture)
    assert picture[0] < picture[2]
