"""Criteria of derivatives, against torch-pruning, finite differences and exact Hessians."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch_pruning as tp
from torch import Tensor, nn

from msbench.api import Trainer
from msbench_plugins.criteria.gradients import Gradient, HessianOBD, Taylor
from tests.criteria.isolated import RAW, Make, judged, same_order


def test_taylor_is_torch_prunings_multivariable_squared(make_trainer: Make) -> None:
    scores, other = Taylor().score(make_trainer()), make_trainer()
    gradients = other.gradients()
    for name, weight in other.weights.items():
        expected = judged(tp.importance.GroupTaylorImportance(multivariable=True, **RAW), weight, gradients[name])
        assert torch.allclose(scores[name].sqrt(), expected, rtol=1e-3, atol=1e-7)
        assert same_order(scores[name], expected)


def test_taylor_is_the_change_of_the_loss_when_a_group_shrinks(make_trainer: Make) -> None:
    """Finite differences: (L(w) - L(w - εw_c)) / ε is Σ w dL/dw."""
    scores, trainer, epsilon = Taylor().score(make_trainer()), make_trainer(), 1e-2
    batch = trainer.next_batch()
    name, weight = list(trainer.weights.items())[2]

    def loss() -> float:
        with torch.no_grad():
            return float(trainer.balancer(trainer.losses(batch)))

    for channel in range(weight.shape[1]):
        kept = weight.detach().clone()
        with torch.no_grad():
            weight[:, channel] *= 1 + epsilon
            above = loss()
            weight.copy_(kept)
            weight[:, channel] *= 1 - epsilon
            below = loss()
            weight.copy_(kept)
        slope = (above - below) / (2 * epsilon)
        assert float(scores[name][channel]) ** 0.5 == pytest.approx(abs(slope), rel=0.05, abs=2e-4)


def test_gradient_is_torch_prunings_taylor(make_trainer: Make) -> None:
    scores, other = Gradient(batches=2).score(make_trainer()), make_trainer()
    gradients = other.gradients(2)
    for name, weight in other.weights.items():
        expected = judged(tp.importance.GroupTaylorImportance(**RAW), weight, gradients[name])
        assert torch.allclose(scores[name], expected, rtol=1e-4)


def test_taylor_averages_squares_over_batches(make_trainer: Make) -> None:
    trainer, other = make_trainer(), make_trainer()
    found = Taylor(batches=2).score_elements(trainer)
    first, second = other.gradients(), other.gradients()
    for name, weight in other.weights.items():
        w = weight.detach()
        assert torch.allclose(found[name], ((w * first[name]) ** 2 + (w * second[name]) ** 2) / 2)
    assert trainer.allowance.spent == other.allowance.spent == 16


def quadratic(matrix: Tensor, weight: Tensor) -> Any:
    """A trainer whose loss is ½ wᵀ A w in one layer's weight."""
    parameter = nn.Parameter(weight)
    return SimpleNamespace(
        weights={"layer": parameter},
        generator=torch.Generator().manual_seed(0),
        allowance=SimpleNamespace(spend=lambda samples: None),
        scoring=nullcontext,
        next_batch=lambda: [0],
        losses=lambda batch: {"task": 0.5 * parameter.flatten() @ matrix @ parameter.flatten()},
        balancer=lambda losses: losses["task"],
    )


def test_obd_is_exact_on_a_separable_quadratic() -> None:
    generator = torch.Generator().manual_seed(1)
    diagonal, weight = torch.rand(12, generator=generator), torch.randn(3, 4, 1, 1, generator=generator)
    trainer = quadratic(torch.diag(diagonal), weight.clone())
    assert torch.allclose(HessianOBD().diagonal(trainer)["layer"].flatten(), diagonal)
    # removing a group changes the loss by exactly ½ Σ h w²
    expected = (diagonal.view(3, 4) * weight.view(3, 4) ** 2).sum(0) / 2
    assert torch.allclose(HessianOBD().score(trainer)["layer"], expected)
    # torch-pruning sums h w², for any h that it is given as a gradient
    theirs = judged(tp.importance.GroupHessianImportance(**RAW), weight, diagonal.view(3, 4, 1, 1))
    assert torch.allclose(2 * HessianOBD().score(trainer)["layer"], theirs)


def test_hutchinson_converges_to_the_exact_diagonal() -> None:
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(6, 6, generator=generator)
    matrix = root @ root.T
    found = HessianOBD(probes=4000).diagonal(quadratic(matrix, torch.randn(2, 3, generator=generator)))
    spread = (matrix.square().sum(1) - matrix.diagonal().square()).sqrt() / 4000**0.5  # its standard error
    assert ((found["layer"].flatten() - matrix.diagonal()).abs() < 4 * spread).all()


def in_double(trainer: Trainer) -> Trainer:
    """The same trainer in float64, in which a difference can be so small that no rectifier flips within it."""
    trainer.model.double()
    plain = trainer.next_batch
    trainer.next_batch = lambda: replace(batch := plain(), image=batch.image.double())  # type: ignore[method-assign]
    return trainer


def test_one_probe_is_the_finite_difference_of_the_gradients(make_trainer: Make) -> None:
    found, other, step = HessianOBD().diagonal(in_double(make_trainer())), in_double(make_trainer()), 1e-7
    batch, start = other.next_batch(), {name: weight.detach().clone() for name, weight in other.weights.items()}
    signs = {n: 2.0 * torch.randint(2, w.shape, generator=other.generator) - 1 for n, w in start.items()}

    def gradients(step: float) -> dict[str, Tensor]:
        with torch.no_grad():
            for name, weight in other.weights.items():
                weight.copy_(start[name] + step * signs[name])
        other.backward(batch)
        return {name: weight.grad.clone() for name, weight in other.weights.items() if weight.grad is not None}

    above, below = gradients(step), gradients(-step)
    for name in found:
        expected = signs[name] * (above[name] - below[name]) / (2 * step)
        likeness = torch.cosine_similarity(found[name].flatten(), expected.flatten(), dim=0)
        assert likeness > 0.99, (name, likeness)


def test_every_backward_pass_of_the_probes_is_counted(make_trainer: Make) -> None:
    trainer: Trainer = make_trainer()
    HessianOBD(batches=2, probes=3).score(trainer)
    assert trainer.allowance.spent == 2 * 8 * (1 + 3)
