"""l1: the soft threshold by hand, steering, settling by single weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from msbench.api import Trainer
from msbench_plugins.sparsifiers.l1 import L1
from tests.sparsifiers.helpers import state_bytes

Make = Callable[..., Trainer]
METRICS = ["euclidean", "adaptive"]


@pytest.mark.parametrize(("metric", "threshold"), [("euclidean", 0.02), ("adaptive", 0.04)])
def test_the_proximal_step_is_the_soft_threshold_on_convolutions_only(
    make_trainer: Make, metric: str, threshold: float
) -> None:
    """lr λ = 0.02; adaptive: √v̂ = 1/2 after a first step from gradients of 1/2, so twice that."""
    trainer = make_trainer()
    for parameter in trainer.model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    trainer.optimizer.step(0.0)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    L1(prox_metric=metric)._prox(trainer)(0.1, 0.2)  # type: ignore[arg-type]
    prunable = {f"{name}.weight" for name in trainer.weights}
    dead = 0
    for name, value in trainer.model.named_parameters():
        x = before[name]
        expected = x.sign() * (x.abs() - threshold).clamp_min(0) if name in prunable else x
        torch.testing.assert_close(value.detach(), expected, rtol=1e-4, atol=1e-6)
        dead += int((value == 0).sum()) if name in prunable else 0
    assert 0 < dead < trainer.groups.weights


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_it_learns_steering_reaches_the_region_of_the_target_and_settling_meets_it(
    make_trainer: Make, metric: str, target: float
) -> None:
    trainer = make_trainer(samples=800, lr=1e-2, target=target)
    L1(prox_metric=metric, sparse_share=0.7).sparsify(trainer)  # type: ignore[arg-type]
    assert trainer.natural is not None
    assert abs(trainer.natural - target) < 0.2
    assert trainer.evaluate().score(trainer.loss_floor) < 0.6
    assert abs(trainer.sparsity(structured=False) - target) <= 0.001
    assert trainer.mask is not None
    assert not trainer.mask.structured
    assert trainer.allowance.left < trainer.settings.batch


def test_settling_keeps_the_largest_from_before_the_last_step(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(target=0.5)
    seen: dict[str, torch.Tensor] = {}
    update = trainer.update

    def watch(losses: dict[str, float], lr: float | None = None) -> None:
        update(losses, lr)
        if trainer.mask is None:  # after the optimizer's step, before the proximal one
            seen.update({name: weight.detach().abs().clone() for name, weight in trainer.weights.items()})

    monkeypatch.setattr(trainer, "update", watch)
    L1().sparsify(trainer)
    assert trainer.mask is not None
    kept = torch.cat([seen[name][kept] for name, kept in trainer.mask.items()])
    lost = torch.cat([seen[name][~kept] for name, kept in trainer.mask.items()])
    assert float(lost.max()) <= float(kept.min())


@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_a_level_of_its_own_that_grows_with_lambda(make_trainer: Make, metric: str) -> None:
    levels = []
    for factor in (0.3, 1.0, 3.0):
        trainer = make_trainer(samples=320)
        lam = factor * {"euclidean": 0.3, "adaptive": 1e-3}[metric]
        L1(prox_metric=metric, lam=lam, sparse_share=0.7).sparsify(trainer)  # type: ignore[arg-type]
        assert trainer.natural == pytest.approx(trainer.sparsity(structured=False))
        levels.append(trainer.natural)
    assert levels[0] < levels[1] - 0.05
    assert levels[1] < levels[2] - 0.05
    assert 0.05 < levels[1] < 0.95, "the default"


@pytest.mark.parametrize("metric", METRICS)
def test_same_seed_same_bytes(make_trainer: Make, metric: str) -> None:
    first, second = make_trainer(target=0.5), make_trainer(target=0.5)
    for trainer in (first, second):
        L1(prox_metric=metric).sparsify(trainer)  # type: ignore[arg-type]
    assert state_bytes(first) == state_bytes(second)
