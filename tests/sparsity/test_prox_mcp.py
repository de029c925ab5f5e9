"""The minimax concave penalty and adaptive l1 against numerical minimisers of their objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from msbench.sparsity.prox import AdaptiveMCP, AdaptiveProx, prox_euclidean, prox_l1, prox_l1_adaptive, prox_mcp

SHAPES = [(8, 3, 7, 7), (6, 5, 3, 3), (4, 9, 1, 1), (5, 7)]


def random_weights(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def random_moments(seed: int, spread: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed + 1)
    return [
        (0.5 * torch.exp(spread * torch.randn(shape, generator=generator, dtype=torch.float64))).square()
        for shape in SHAPES
    ]


def penalty(r: float, lam: float, gamma: float) -> float:
    """The penalty of one group whose λ has √n in it."""
    return lam * r - r * r / (2 * gamma) if r <= gamma * lam else gamma * lam * lam / 2


def mcp(weights: list[Tensor], moments: list[Tensor] | None, lr: float, lam: float, gamma: float) -> list[Tensor]:
    found = [weight.clone() for weight in weights]
    if moments is None:
        prox_mcp(found, lr * lam, lr / gamma)
    else:
        AdaptiveMCP(eps=0.0)(found, moments, lr * lam, lr / gamma)
    return found


# -- Euclidean --------------------------------------------------------------------------------------------------------


@given(norm=st.floats(0.01, 6), lr=st.floats(0.01, 0.9), lam=st.floats(0.05, 2), gamma=st.floats(1, 20))
def test_euclidean_norm_minimises_the_objective(norm: float, lr: float, lam: float, gamma: float) -> None:
    """The direction stays, so the objective is one of the norm alone: minimised here on a grid, then by brackets."""
    x = torch.tensor([[0.6], [0.0], [0.8], [0.0]], dtype=torch.float64) * norm
    (z,) = mcp([x], None, lr, lam, gamma)

    def objective(r: float) -> float:
        return (r - norm) ** 2 / 2 + lr * penalty(r, lam * 2.0, gamma)  # √n = 2

    grid = np.linspace(0, 1.2 * norm, 400)
    nearest = int(np.argmin([objective(r) for r in grid]))
    bounds = grid[max(nearest - 1, 0)], grid[min(nearest + 1, 399)]
    best = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
    best = min((0.0, float(best), norm), key=objective)
    assert float(z.norm()) == pytest.approx(best, abs=1e-4)
    assert torch.allclose(z * norm, x * z.norm())


def test_three_regimes_by_hand() -> None:
    # lr 0.5, γ 2, n 1: c = 1/4; λ 1: t = 1/2; dead up to 1/2, left alone from t / c = γ λ = 2 on
    weight = torch.tensor([[0.5, -0.4, 0.8, -1.4, 2.0, -3.0]], dtype=torch.float64)
    norms = prox_mcp([weight], 0.5, 0.25)
    assert norms[0].tolist() == pytest.approx([0.5, 0.4, 0.8, 1.4, 2.0, 3.0])
    # (0.8 - 0.5) / 0.75 and (1.4 - 0.5) / 0.75
    assert weight.tolist()[0] == pytest.approx([0.0, 0.0, 0.4, -1.2, 2.0, -3.0])


@pytest.mark.parametrize("metric", ["euclidean", "adaptive"])
def test_the_step_is_continuous_where_regimes_meet(metric: str) -> None:
    lr, lam, gamma = 0.1, 0.4, 3.0
    direction = torch.tensor([[0.6], [0.8]], dtype=torch.float64)
    moments = [torch.tensor([[0.25], [1.0]], dtype=torch.float64)] if metric == "adaptive" else None
    t = lam * math.sqrt(2)
    weighted = math.hypot(0.6 * 0.5, 0.8) if metric == "adaptive" else 1.0  # ‖D x‖ for ‖x‖ = 1
    for border, dead in ((lr * t / weighted, True), (gamma * t, False)):
        (below,) = mcp([direction * border * (1 - 1e-9)], moments, lr, lam, gamma)
        (above,) = mcp([direction * border * (1 + 1e-9)], moments, lr, lam, gamma)
        assert torch.allclose(below, above, atol=1e-6)
        assert bool(below.any()) is not dead
        assert bool(above.any())
        assert dead or torch.equal(above, direction * border * (1 + 1e-9))


# -- in Adam's metric -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1.5, 5.0])
def test_adaptive_result_minimises_the_objective(spread: float, scale: float) -> None:
    """Scales that reach from death over shrinkage to being left alone; scipy starts at x, at 0 and at the result."""
    lr, lam, gamma, size = 0.1, 0.6, 4.0, 6
    generator = torch.Generator().manual_seed(int(10 * scale))
    x = scale * torch.randn(size, 3, generator=generator, dtype=torch.float64)
    d = 0.5 * torch.exp(spread * torch.randn(size, 3, generator=generator, dtype=torch.float64))
    assert float(d.min()) > 2 * lr / gamma
    (z,) = mcp([x], [d.square()], lr, lam, gamma)
    for column in range(3):
        start, metric = x[:, column].numpy(), d[:, column].numpy()

        def objective(value: np.ndarray, start: np.ndarray = start, metric: np.ndarray = metric) -> float:
            r = float(np.linalg.norm(value))
            return float(metric @ (value - start) ** 2) / 2 + lr * penalty(r, lam * math.sqrt(size), gamma)

        found = z[:, column].numpy()
        options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 2000}
        runs = [minimize(objective, s, method="Nelder-Mead", options=options) for s in (start, found + 1e-3)]
        best = min([*(run.x for run in runs), np.zeros(size)], key=objective)
        assert objective(found) <= objective(best) + 1e-10
        assert found == pytest.approx(best, abs=1e-3)


def test_adaptive_cases_cover_all_three_regimes() -> None:
    lr, lam, gamma = 0.05, 0.3, 5.0
    counts = {"dead": 0, "shrunk": 0, "whole": 0}
    for scale in (0.02, 0.5, 3.0):
        weights = [scale * weight for weight in random_weights(0)]
        moments = random_moments(0, 0.3)
        for old, new in zip(weights, mcp(weights, moments, lr, lam, gamma), strict=True):
            for x, z in zip(old.unbind(1), new.unbind(1), strict=True):
                kind = "dead" if not z.any() else "whole" if torch.equal(x, z) else "shrunk"
                flat = float(x.norm()) >= gamma * lam * math.sqrt(x.numel())
                counts[kind] += 1
                assert (kind == "whole") is flat
                assert kind != "shrunk" or float(z.norm()) < float(x.norm())
    assert min(counts.values()) > 3, counts


def test_constant_curvature_reduces_to_the_euclidean_step() -> None:
    weights, d = random_weights(3), 0.4
    adaptive = mcp(weights, [torch.full_like(w, d * d) for w in weights], 0.2, 0.3, 4.0)
    # dividing the objective by d: learning rate lr / d
    for found, expected in zip(adaptive, mcp(weights, None, 0.2 / d, 0.3, 4.0), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "adaptive"])
def test_with_growing_gamma_it_becomes_the_group_lasso(metric: str) -> None:
    weights, moments = random_weights(4), random_moments(4, 0.5)
    expected = [weight.clone() for weight in weights]
    if metric == "euclidean":
        prox_euclidean(expected, 0.06)
    else:
        AdaptiveProx(eps=0.0)(expected, moments, 0.06)
    distances = []
    for gamma in (1e2, 1e4, 1e6, math.inf):
        found = mcp(weights, moments if metric == "adaptive" else None, 0.1, 0.6, gamma)
        distances.append(max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)))
    assert distances[0] > 1e-4
    assert distances[1] < distances[0] / 50
    assert distances[2] < distances[1] / 50
    assert distances[3] < 1e-12


def test_a_metric_below_the_concavity_is_lifted_to_twice_it() -> None:
    """A weight without gradients: d = 0. With d = 2 c in its place the result is that of the lifted metric."""
    x = 0.1 * random_weights(5)[1]
    lr, lam, gamma = 0.1, 0.2, 1.0
    holes = random_moments(5, 0.5)[1]
    holes[::2] = 0.0
    lifted = holes.clone()
    lifted[::2] = (2 * lr / gamma) ** 2
    (found,), (expected,) = mcp([x], [holes], lr, lam, gamma), mcp([x], [lifted], lr, lam, gamma)
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert not torch.equal(found, x)


@pytest.mark.parametrize("metric", ["euclidean", "adaptive"])
def test_a_threshold_of_zero_changes_nothing_and_zero_groups_stay_zero(metric: str) -> None:
    weights, moments = random_weights(6), random_moments(6, 1.0) if metric == "adaptive" else None
    for weight in weights:
        weight[:, 1] = 0
    for found, old in zip(mcp(weights, moments, 0.1, 0.0, 2.0), weights, strict=True):
        assert torch.equal(found, old)
    for found in mcp(weights, moments, 0.1, 0.5, 2.0):
        assert not found[:, 1].any()
        assert found.isfinite().all()


@pytest.mark.parametrize("metric", ["euclidean", "adaptive"])
def test_memory_layout_does_not_matter_and_stays(metric: str) -> None:
    plain, moments = random_weights(7)[:3], random_moments(7, 0.5)[:3]
    last = [weight.clone(memory_format=torch.channels_last) for weight in plain]
    for weights in (plain, last):
        if metric == "euclidean":
            prox_mcp(weights, 0.06, 0.05)
        else:
            AdaptiveMCP()(weights, moments, 0.06, 0.05)
    for a, b in zip(plain, last, strict=True):
        assert b.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_warm_start_equals_cold_start() -> None:
    """Weights that drift, groups that pass from one regime to another."""
    generator = torch.Generator().manual_seed(0)
    moments, warm = random_moments(8, 0.5), AdaptiveMCP()
    for scale in (1.0, 1.1, 3.0, 0.3, 0.01, 1.0):
        drifted = [scale * w * (1 + 0.01 * torch.randn((), generator=generator)) for w in random_weights(8)]
        cold = [weight.clone() for weight in drifted]
        warm(drifted, moments, 0.06, 0.05)
        AdaptiveMCP()(cold, moments, 0.06, 0.05)
        for a, b in zip(drifted, cold, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("concavity", [-0.1, 1.0, math.nan])
def test_an_invalid_concavity_is_refused(concavity: float) -> None:
    with pytest.raises(ValueError, match="concavity: expected 0 or more and less than 1"):
        prox_mcp(random_weights(0), 0.1, concavity)
    with pytest.raises(ValueError, match="concavity: expected 0 or more and less than 1"):
        AdaptiveMCP()(random_weights(0), random_moments(0, 0.1), 0.1, concavity)


# -- adaptive l1 ------------------------------------------------------------------------------------------------------


@given(x=st.floats(-3, 3), d=st.floats(0.05, 5), t=st.floats(0, 2))
def test_adaptive_l1_minimises_the_objective(x: float, d: float, t: float) -> None:
    weight = torch.tensor([[x]], dtype=torch.float64)
    prox_l1_adaptive([weight], [torch.tensor([[d * d]], dtype=torch.float64)], t, eps=0.0)

    def objective(z: float) -> float:
        return d * (z - x) ** 2 / 2 + t * abs(z)

    best = minimize_scalar(objective, bounds=(-3.5, 3.5), method="bounded", options={"xatol": 1e-12}).x
    assert objective(float(weight)) <= objective(best) + 1e-12
    assert float(weight) == pytest.approx(best, abs=2e-5)


def test_adaptive_l1_by_hand() -> None:
    # d = √v + ε = 2, 0.5, 1: thresholds 0.25, 1, 0.5
    weight = torch.tensor([[2.0, -2.0, 0.4], [0.2, 0.9, -1.5]])
    prox_l1_adaptive([weight], [torch.tensor([[4.0, 0.25, 1.0], [4.0, 0.25, 1.0]])], 0.5)
    assert weight.flatten().tolist() == pytest.approx([1.75, -1.0, 0.0, 0.0, 0.0, -1.0], abs=1e-6)


def test_adaptive_l1_with_constant_curvature_is_the_plain_soft_threshold() -> None:
    adaptive, plain = random_weights(9), random_weights(9)
    prox_l1_adaptive(adaptive, [torch.full_like(w, 0.16) for w in adaptive], 0.2, eps=0.0)
    prox_l1(plain, 0.5)
    for a, b in zip(adaptive, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_adaptive_l1_in_blocks_in_any_layout_and_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = random_weights(2)[:3], random_weights(2)[:3]
    moments = random_moments(2, 1.0)[:3]
    moments[0][0] = 0.0  # no gradient yet: the threshold is t / ε, and the weight dies
    last = [weight.clone(memory_format=torch.channels_last) for weight in whole]
    prox_l1_adaptive(whole, moments, 0.2)
    prox_l1_adaptive(last, moments, 0.2)
    monkeypatch.setattr("msbench.sparsity.columns.BLOCK", 1)
    prox_l1_adaptive(cut, moments, 0.2)
    assert not whole[0][0].any()
    for a, b, c in zip(whole, cut, last, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    with pytest.raises(ValueError, match="threshold: expected 0 or more, got -1"):
        prox_l1_adaptive(whole, moments, -1.0)
