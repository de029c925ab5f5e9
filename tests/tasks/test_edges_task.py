"""Edges against formulas in numpy, and torchmetrics' exact curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msbench.tasks.edges import EdgesTask
from msbench.tasks.pooling import import_torchmetrics

from .conftest import broadcast, evaluate, example

SOFT, BINARY = EdgesTask(), EdgesTask(binary=True)


def pooled(task, seed, **sizes):
    output, target, valid = example(task, seed, **sizes)
    probability = 1 / (1 + np.exp(-output.numpy()[:, 0]))
    return (output, target, valid), probability[valid.numpy()], target.numpy()[valid.numpy()]


@pytest.mark.parametrize("delta", [0.2, 0.5])
def test_soft_loss_is_the_huber_loss_of_the_sigmoid(delta):
    batch, p, g = pooled(SOFT, 0)
    e = np.abs(p - g)
    expected = np.where(e <= delta, 0.5 * e**2, delta * (e - 0.5 * delta)).mean()
    assert float(EdgesTask(huber_delta=delta).loss(*batch)) == pytest.approx(expected, rel=1e-9)


def test_soft_loss_without_a_huber_delta_is_the_absolute_error():
    batch, p, g = pooled(SOFT, 9)
    assert float(EdgesTask(huber_delta=0.0).loss(*batch)) == pytest.approx(np.abs(p - g).mean(), rel=1e-9)


def test_binary_loss_weighs_edges_nineteen_to_one():
    batch, p, g = pooled(BINARY, 1)
    expected = -(0.95 * g * np.log(p) + 0.05 * (1 - g) * np.log(1 - p)).mean()
    assert float(BINARY.loss(*batch)) == pytest.approx(expected, rel=1e-6)


def test_soft_metrics_equal_numpy_over_the_pooled_part():
    batch, p, g = pooled(SOFT, 2)
    found = evaluate(SOFT, *batch)
    assert found["mae"] == pytest.approx(np.abs(p - g).mean())
    assert found["mae_on_edges"] == pytest.approx(np.abs(p - g)[g != 0].mean())


def test_a_part_without_edges_has_no_error_on_edges():
    output, target, valid = example(SOFT, 3)
    found = evaluate(SOFT, output, torch.zeros_like(target), valid)
    assert found["mae_on_edges"] == 0.0
    assert found["mae"] > 0


def test_binary_metrics_equal_the_exact_curves():
    batch, p, g = pooled(BINARY, 4, images=5, size=20)
    found = evaluate(BINARY, *batch)
    f1 = max(2 * (g[p >= t]).sum() / ((p >= t).sum() + g.sum()) for t in np.unique(p))
    assert found["f1"] == pytest.approx(100 * f1, abs=0.1)
    exact = import_torchmetrics().functional.classification.binary_average_precision
    assert found["average_precision"] == pytest.approx(
        100 * float(exact(torch.from_numpy(p), torch.from_numpy(g))), abs=0.1
    )
    assert found["mae"] == pytest.approx(np.abs(p - g).mean())
    assert found["mae_on_edges"] == pytest.approx((1 - p)[g == 1].mean())


def test_binary_metrics_equal_the_binned_curve_of_torchmetrics():
    batch, p, g = pooled(BINARY, 5, size=20)
    binned = import_torchmetrics().functional.classification.binary_average_precision
    thresholds = torch.arange(1001, dtype=torch.float64) / 1000
    expected = float(binned(torch.from_numpy(p), torch.from_numpy(g), thresholds=thresholds))
    assert evaluate(BINARY, *batch)["average_precision"] == pytest.approx(100 * expected, abs=1e-3)


def test_a_perfect_detector_scores_a_hundred():
    _, target, valid = example(BINARY, 6)
    found = evaluate(BINARY, (target[:, None].double() - 0.5) * 20, target, valid)
    assert found["f1"] == found["average_precision"] == 100.0


def test_binary_constant_marks_every_pixel():
    _, target, valid = example(BINARY, 7)
    share = float(target[valid].double().mean())
    found = evaluate(BINARY, broadcast(BINARY.constant(target, valid), valid), target, valid)
    assert found["f1"] == pytest.approx(100 * 2 * share / (1 + share))
    assert found["average_precision"] == pytest.approx(100 * share)


def test_soft_constant_has_the_error_of_the_median():
    _, target, valid = example(SOFT, 8)
    known = target[valid].numpy()
    found = evaluate(SOFT, broadcast(SOFT.constant(target, valid), valid), target, valid)
    assert found["mae"] == pytest.approx(np.abs(known - np.percentile(known, 50, method="lower")).mean(), abs=1e-5)


def test_picture_is_grey():
    picture = SOFT.picture(torch.tensor([[0.0, 0.5, 1.0]]), torch.ones(1, 3, dtype=torch.bool))
    assert picture[0].tolist() == [[0, 128, 255]]
    assert torch.equal(picture[0], picture[1])
    assert torch.equal(picture[0], picture[2])
