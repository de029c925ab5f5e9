"""Proximal operators against bisection, optimality conditions and hand-computed groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from msbench.sparsity import columns
from msbench.sparsity.prox import AdaptiveProx, group_norms, prox_euclidean, prox_l1

SHAPES = [(8, 3, 7, 7), (6, 5, 3, 3), (4, 9, 1, 1), (5, 7)]


def random_weights(seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in SHAPES]


def random_moments(seed: int, spread: float, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Second moments whose roots are log-normal around 0.5."""
    generator = torch.Generator().manual_seed(seed + 1)
    return [
        (0.5 * torch.exp(spread * torch.randn(shape, generator=generator, dtype=dtype))).square() for shape in SHAPES
    ]


def channels(weight: Tensor) -> np.ndarray:
    """[I, n] in numpy."""
    return np.moveaxis(weight.double().numpy(), 1, 0).reshape(weight.shape[1], -1)


def oracle(x: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """The adaptive prox of one group by bisection on psi(theta), which is strictly decreasing."""
    if np.linalg.norm(d * x) <= t:
        return np.zeros_like(x)
    theta = brentq(lambda theta: np.sum((x / (theta + t / d)) ** 2) - 1, 0.0, np.linalg.norm(x), xtol=1e-15, rtol=1e-15)
    return x * theta / (theta + t / d)


def curvature(moment: Tensor, bias_correction: float, eps: float) -> Tensor:
    return (moment / bias_correction).sqrt() + eps


def threshold_for_share(weight: Tensor, d: Tensor, share: float) -> float:
    """A threshold at `share` of the median group's point of death."""
    norms = np.linalg.norm(channels(weight * d), axis=1)
    return share * float(np.median(norms)) / math.sqrt(weight[:, 0].numel())


@pytest.mark.parametrize("shape", SHAPES)
def test_group_norms_are_those_of_the_input_channels(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert group_norms(weight).numpy() == pytest.approx(np.linalg.norm(channels(weight), axis=1), rel=1e-6)


def test_group_norms_over_several_blocks_equal_the_whole():
    weight = torch.randn(1000, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    assert weight.numel() > columns.BLOCK
    assert group_norms(weight).numpy() == pytest.approx(np.linalg.norm(channels(weight), axis=1), rel=1e-5)


def test_euclidean_step_of_a_hand_computed_group():
    # channel 0 is (3, 4): norm 5, t = 0.5 sqrt(2); channel 1 is (0.3, 0.4): norm 0.5 < t
    weight = torch.tensor([[3.0, 0.3], [4.0, 0.4]])
    (norms,) = prox_euclidean([weight], 0.5)
    factor = 1 - 0.5 * math.sqrt(2) / 5
    assert norms.tolist() == pytest.approx([5.0, 0.5])
    assert weight[:, 0].tolist() == pytest.approx([3 * factor, 4 * factor])
    assert weight[:, 1].tolist() == [0.0, 0.0]


@given(seed=st.integers(0, 1000), threshold=st.floats(1e-3, 2.0))
@settings(max_examples=25, deadline=None)
def test_euclidean_result_is_optimal(seed, threshold):
    """w - x + t w / |w| = 0 where w is not zero, |x| <= t where it is."""
    weights = random_weights(seed)
    before = [weight.clone() for weight in weights]
    prox_euclidean(weights, threshold)
    for weight, old in zip(weights, before, strict=True):
        t = threshold * math.sqrt(weight[:, 0].numel())
        for w, x in zip(channels(weight), channels(old), strict=True):
            if w.any():
                assert np.abs(w - x + t * w / np.linalg.norm(w)).max() < 1e-9
            else:
                assert np.linalg.norm(x) <= t * (1 + 1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8, 0.98, 1.2])
def test_adaptive_result_equals_bisection_in_double_precision(spread, share):
    bias_correction, eps = 0.3, 1e-6
    for x, v in zip(random_weights(3), random_moments(3, spread), strict=True):
        d = curvature(v, bias_correction, eps)
        threshold = threshold_for_share(x, d, share)
        z = x.clone()
        AdaptiveProx(eps)([z], [v], threshold, [bias_correction])
        t = threshold * math.sqrt(x[:, 0].numel())
        for found, old, metric in zip(channels(z), channels(x), channels(d), strict=True):
            assert found == pytest.approx(oracle(old, metric, t), abs=1e-10)


@given(seed=st.integers(0, 1000), spread=st.floats(0, 2), share=st.floats(0.01, 1.5))
@settings(max_examples=25, deadline=None)
def test_adaptive_result_is_optimal(seed, spread, share):
    """D (z - x) + t z / |z| = 0 where z is not zero, |D x| <= t where it is."""
    for x, v in zip(random_weights(seed), random_moments(seed, spread), strict=True):
        d = curvature(v, 1.0, 1e-8)
        threshold = threshold_for_share(x, d, share)
        z = x.clone()
        AdaptiveProx()([z], [v], threshold)
        t = threshold * math.sqrt(x[:, 0].numel())
        for new, old, metric in zip(channels(z), channels(x), channels(d), strict=True):
            if new.any():
                gradient = metric * (new - old) + t * new / np.linalg.norm(new)
                assert np.abs(gradient).max() < 1e-6
            else:
                assert np.linalg.norm(metric * old) <= t * (1 + 1e-12)


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_adaptive_in_single_precision_stays_close_to_bisection(spread):
    """Magnitudes of a real run: weights of 1e-2, roots of second moments of 1e-5."""
    generator = torch.Generator().manual_seed(0)
    x = 1e-2 * torch.randn(64, 40, 3, 3, generator=generator)
    v = (1e-5 * torch.exp(spread * torch.randn(x.shape, generator=generator))).square()
    d = curvature(v.double(), 1.0, 1e-8)
    threshold = threshold_for_share(x.double(), d, 0.95)
    z = x.clone()
    AdaptiveProx()([z], [v], threshold)
    t = threshold * math.sqrt(x[:, 0].numel())
    dead = 0
    for found, old, metric in zip(channels(z), channels(x), channels(d), strict=True):
        expected = oracle(old, metric, t)
        dead += not expected.any()
        assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(old)
    assert 0 < dead < 40


def test_a_group_just_above_the_threshold_lives_and_just_below_dies():
    weight = torch.tensor([[3.0], [4.0]], dtype=torch.float64)
    moment = torch.tensor([[4.0], [0.25]], dtype=torch.float64)  # d = (2, 0.5), |Dx| = sqrt(40)
    limit = math.sqrt(40) / math.sqrt(2)
    for factor, lives in ((1 - 1e-9, True), (1 + 1e-9, False)):
        adaptive = weight.clone()
        AdaptiveProx(eps=0.0)([adaptive], [moment], limit * factor)
        assert bool(adaptive.any()) is lives
        euclidean = weight.clone()
        prox_euclidean([euclidean], 5 / math.sqrt(2) * factor)
        assert bool(euclidean.any()) is lives


def test_constant_curvature_reduces_to_the_euclidean_step():
    weights = random_weights(5)
    expected = [weight.clone() for weight in weights]
    norms = AdaptiveProx(eps=0.0)(weights, [torch.full_like(w, 0.16) for w in weights], 0.2)
    before = prox_euclidean(expected, 0.2 / 0.4)
    for found, want, norm, old in zip(weights, expected, norms, before, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(norm, old)


@pytest.mark.parametrize("operator", ["euclidean", "adaptive", "l1"])
def test_a_threshold_of_zero_changes_nothing_not_even_a_zero_group(operator):
    weights = random_weights(1, torch.float32)
    for weight in weights:
        weight[:, 1] = 0
    before = [weight.clone() for weight in weights]
    apply(operator, weights, 0.0)
    assert all(torch.equal(found, old) for found, old in zip(weights, before, strict=True))


@pytest.mark.parametrize("operator", ["euclidean", "adaptive", "l1"])
@pytest.mark.parametrize("threshold", [1e-44, 1e-20, 1e-3, 10.0])
def test_a_zero_group_stays_exactly_zero_and_nothing_becomes_nan(operator, threshold):
    weights = random_weights(1, torch.float32)
    for weight in weights:
        weight[:, 1] = 0
    apply(operator, weights, threshold)
    for weight in weights:
        assert not weight[:, 1].any()
        assert weight.isfinite().all()


@pytest.mark.parametrize("operator", ["euclidean", "adaptive", "l1"])
def test_a_negative_threshold_is_refused(operator):
    with pytest.raises(ValueError, match="threshold: expected 0 or more, got -1"):
        apply(operator, random_weights(0), -1.0)


@pytest.mark.parametrize("operator", ["euclidean", "adaptive", "l1"])
def test_memory_layout_does_not_matter_and_stays(operator):
    plain = random_weights(2)[:3]
    last = [weight.clone(memory_format=torch.channels_last) for weight in plain]
    strides = [weight.stride() for weight in last]
    apply(operator, plain, 0.4)
    apply(operator, last, 0.4)
    assert [weight.stride() for weight in last] == strides
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operator", ["euclidean", "adaptive", "l1"])
def test_many_blocks_give_the_same_as_few(operator, monkeypatch):
    whole, cut = random_weights(4), random_weights(4)
    apply(operator, whole, 0.4)
    monkeypatch.setattr("msbench.sparsity.columns.BLOCK", 1)
    apply(operator, cut, 0.4)
    for a, b in zip(whole, cut, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_weight_without_a_usable_layout_is_named():
    with pytest.raises(ValueError, match="neither contiguous nor channels last"):
        prox_euclidean([torch.randn(4, 6, 3, 3).transpose(2, 3)], 0.1)


def test_parameters_are_changed_in_place_and_keep_their_gradients():
    weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
    weight.grad = torch.ones_like(weight)
    prox_euclidean([weight], 100.0)
    assert not weight.any()
    assert weight.grad.sum() == weight.numel()


def test_warm_start_equals_cold_start():
    """Weights that drift like in training, with a group that dies and one that comes back."""
    generator = torch.Generator().manual_seed(0)
    start, moments = random_weights(6), random_moments(6, 1.0)
    threshold, warm = 0.05, AdaptiveProx()
    for step in range(6):
        drifted = [w * (1 + 0.01 * torch.randn(w.shape, generator=generator, dtype=w.dtype)) for w in start]
        for weight in drifted:
            weight[:, 0] *= 1e-3 if step in (2, 3) else 1.0
        cold = [weight.clone() for weight in drifted]
        warm(drifted, moments, threshold)
        AdaptiveProx()(cold, moments, threshold)
        for a, b in zip(drifted, cold, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
            assert bool(a[:, 0].any()) is (step not in (2, 3))


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_a_misleading_warm_start_does_no_harm(spread):
    """Groups that were whole and are suddenly almost dead: Newton's first step from there ends below zero."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 16, 8, 3, 3, dtype=torch.float64, generator=generator)
    v = torch.exp(2 * spread * noise)
    weighted = (x * (v.sqrt() + 1e-8)).square().sum((0, 2, 3)).sqrt()
    x *= (weighted.mean() / weighted).view(1, -1, 1, 1)
    threshold = 0.99 * float(weighted.mean()) / math.sqrt(16 * 9)
    warm = AdaptiveProx()
    warm([x.clone()], [v], 1e-9)
    found, expected = x.clone(), x.clone()
    warm([found], [v], threshold)
    AdaptiveProx()([expected], [v], threshold)
    assert expected.ne(0).all()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_second_moments_may_have_another_layout_than_the_weights():
    plain, last = random_weights(2)[:3], random_weights(2)[:3]
    moments = random_moments(2, 1.0)[:3]
    last = [weight.clone(memory_format=torch.channels_last) for weight in last]
    AdaptiveProx()(plain, moments, 0.1)
    AdaptiveProx()(last, moments, 0.1)
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("shift", "stays"), [(0.999, True), (1.001, False)])
def test_adaptive_fixed_point_depends_on_the_gradient_alone(shift, stays):
    """A zero group stays zero iff |grad| <= lambda sqrt(n), whatever the second moments are."""
    lr, lam = 1e-3, 0.05
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(6, 5, 3, 3, generator=generator, dtype=torch.float64)
    size = gradient[:, 0].numel()
    gradient *= (
        shift * lam * math.sqrt(size) / torch.from_numpy(np.linalg.norm(channels(gradient), axis=1)).view(1, -1, 1, 1)
    )
    moment = torch.exp(4 * torch.randn(gradient.shape, generator=generator, dtype=torch.float64))
    weight = -lr * gradient / (moment.sqrt() + 1e-8)
    AdaptiveProx(1e-8)([weight], [moment], lr * lam)
    assert bool(weight.any()) is not stays


@pytest.mark.parametrize(("shift", "stays"), [(0.999, True), (1.001, False)])
def test_euclidean_fixed_point_depends_on_the_step_direction(shift, stays):
    """Under Adam a zero group stays zero iff the RMS of m / sqrt(v) is at most lambda."""
    lr, lam = 1e-3, 0.3
    direction = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rms = direction.square().mean((0, 2, 3), keepdim=True).sqrt()
    weight = -lr * direction / rms * lam * shift
    prox_euclidean([weight], lr * lam)
    assert bool(weight.any()) is not stays


def test_l1_is_the_soft_threshold():
    weight = torch.tensor([[-2.0, -0.5, 0.0], [0.2, 0.5, 3.0]])
    prox_l1([weight], 0.5)
    assert weight.tolist() == [[-1.5, 0.0, 0.0], [0.0, 0.0, 2.5]]


def apply(operator: str, weights: list[Tensor], threshold: float) -> None:
    if operator == "euclidean":
        prox_euclidean(weights, threshold)
    elif operator == "l1":
        prox_l1(weights, threshold)
    else:
        moments = [(weight.detach().abs() + 0.1).square() for weight in weights]
        AdaptiveProx()(weights, moments, threshold)
