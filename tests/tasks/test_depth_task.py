"""Depth against formulas in numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from msbench.tasks.depth import DepthTask

from .conftest import broadcast, evaluate, example

TASK = DepthTask()
SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def raw(depth: torch.Tensor, typical: float = 2.5) -> torch.Tensor:
    """The output that predicts this depth."""
    scaled = depth.double() * np.log(2) / typical
    return torch.log(torch.expm1(scaled))[:, None]


def hu(p: np.ndarray, g: np.ndarray, valid: np.ndarray) -> float:
    """Hu et al. by convolution, over several images; g is finite everywhere."""

    def log_error(a, b):
        return np.log(np.abs(a - b) + 0.5) - np.log(0.5)

    depth, slopes, cosines = [], [], []
    for a, b, v in zip(p, g, valid, strict=True):
        depth.append(log_error(a, b)[v])
        inner = correlate2d(v.astype(int), np.ones((3, 3), int), mode="valid") == 9
        (ax, ay), (bx, by) = ([correlate2d(m, k, mode="valid")[inner] for k in (SOBEL, SOBEL.T)] for m in (a, b))
        slopes.append(log_error(ax, bx) + log_error(ay, by))
        u, w = (np.stack([-x, -y, np.ones_like(x)]) for x, y in ((ax, ay), (bx, by)))
        cosines.append((u * w).sum(0) / np.linalg.norm(u, axis=0) / np.linalg.norm(w, axis=0))
    return sum(np.concatenate(part).mean() for part in (depth, slopes)) + (1 - np.concatenate(cosines)).mean()


def per_image_maximum(p: np.ndarray, g: np.ndarray, valid: np.ndarray) -> float:
    """Both divided by the image's greatest true depth first, as the released code of Less-is-More does."""
    errors = [np.abs(a / b[v].max() - b / b[v].max())[v] for a, b, v in zip(p, g, valid, strict=True)]
    return float(np.concatenate(errors).mean())


@pytest.mark.parametrize(("objective", "power"), [("l1", 1), ("l2", 2)])
def test_loss_of_other_objectives_is_the_mean_error_in_metres(objective, power):
    output, target, valid = example(TASK, 5)
    error = np.abs(TASK.predict(output).numpy() - target.numpy())[valid.numpy()]
    task = DepthTask(objective=objective)
    assert float(task.loss(output, target, valid)) == pytest.approx((error**power).mean(), rel=1e-12)


def test_loss_is_the_combination_of_hu_et_al_with_masked_gradients():
    output, target, valid = example(TASK, 0, size=12)
    expected = hu(TASK.predict(output).numpy(), target.numpy(), valid.numpy())
    assert float(TASK.loss(output, target, valid)) == pytest.approx(expected, rel=1e-9)


def test_loss_of_a_perfect_prediction_is_zero():
    _, target, valid = example(TASK, 1)
    assert float(TASK.loss(raw(target), target, valid)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 3)])
def test_tiny_images_have_a_loss(shape):
    output = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(0))
    target, valid = torch.full((2, *shape), 2.0), torch.ones(2, *shape, dtype=torch.bool)
    assert float(TASK.loss(output, target, valid)) > 0


def test_depth_zero_is_no_measurement_even_where_it_is_marked_valid():
    output, target, valid = example(TASK, 2)
    marked = torch.where(valid, target, 0.0)
    everywhere = torch.ones_like(valid)
    assert float(TASK.loss(output, marked, everywhere)) == pytest.approx(float(TASK.loss(output, target, valid)))
    assert evaluate(TASK, output, marked, everywhere) == pytest.approx(evaluate(TASK, output, target, valid))


@pytest.mark.parametrize("typical", [0.7, 2.5, 40.0])
def test_an_output_of_zero_is_the_typical_depth(typical):
    assert DepthTask(typical=typical).predict(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(typical)


def test_metrics_equal_numpy_over_the_pooled_part():
    output, target, valid = example(TASK, 3)
    p, g = TASK.predict(output).numpy()[valid.numpy()], target.numpy()[valid.numpy()]
    ratio = np.maximum(p / g, g / p)
    expected = {
        "abs": np.abs(p - g).mean(),
        "rel": (np.abs(p - g) / g).mean(),
        **{f"delta{k}": 100 * (ratio <= 1.25**k).mean() for k in (1, 2, 3)},
        "rmse": np.sqrt(((p - g) ** 2).mean()),
        "abs_of_max": per_image_maximum(TASK.predict(output).numpy(), target.numpy(), valid.numpy()),
    }
    assert evaluate(TASK, output, target, valid) == pytest.approx(expected, rel=1e-9)


def test_delta_is_inclusive_and_survives_a_prediction_of_zero():
    task = DepthTask(typical=1.0)
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    # softplus(0) / ln 2 is exactly 1: ratio 1.25; softplus(-1e4) is exactly 0
    found = evaluate(task, torch.tensor([[[[0.0, -1e4]]]]), torch.tensor([[[1.25, 1.0]]]), valid)
    assert found["delta1"] == 50.0
    assert found["abs"] == pytest.approx(0.625)


def test_ratios_see_a_prediction_of_zero_as_a_millimetre():
    output, target = torch.full((1, 1, 1, 1), -1e4), torch.full((1, 1, 1), 1.2e-3)
    assert evaluate(TASK, output, target, torch.ones(1, 1, 1, dtype=torch.bool))["delta1"] == 100.0


def test_constant_predicts_the_median():
    _, target, valid = example(TASK, 4, images=3, size=7)
    constant = TASK.constant(target, valid)
    median = float(target[valid].median())
    assert TASK.predict(broadcast(constant, valid)).unique().tolist() == pytest.approx([median], rel=1e-5)
    found = evaluate(TASK, broadcast(constant, valid), target, valid)
    assert found["abs"] == pytest.approx(float((target[valid] - median).abs().mean()), rel=1e-5)


@pytest.mark.parametrize("depth", [1e-3, 2.5, 80.0, 1e4])
def test_constant_inverts_the_prediction_at_every_scale(depth):
    constant = TASK.constant(torch.full((1, 2, 2), depth), torch.ones(1, 2, 2, dtype=torch.bool))
    assert TASK.predict(constant.view(1, 1, 1, 1)).item() == pytest.approx(depth, rel=1e-3)


def test_pictures_grow_brighter_with_depth():
    depth = torch.linspace(0.1, 20, 64).view(1, -1)
    picture = TASK.picture(depth, torch.ones_like(depth, dtype=torch.bool)).double()
    luminance = (picture * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0)[0]
    assert (luminance.diff() > 0).all()
