"""SNIP: connection sensitivity against autograd and finite differences, exact top-k, and training with the mask."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from msbench.api import Batch, Trainer
from msbench_plugins.sparsifiers.snip import Snip, group_sums, redrawn
from tests.sparsifiers.helpers import state_bytes

Make = Callable[..., Trainer]


def masked_loss(trainer: Trainer, batch: Batch, factors: dict[str, Tensor]) -> Tensor:
    """The sum of the tasks' losses over two (uncertainty at its start) with each weight times its factor."""
    weights = {f"{name}.weight": trainer.weights[name].detach() * factor for name, factor in factors.items()}
    outputs = torch.func.functional_call(trainer.model, weights, (batch.image,))
    losses = [t.loss(outputs[t.name], batch.target[t.name], batch.valid[t.name]) for t in trainer.tasks]
    return 0.5 * torch.stack(losses).sum()


def ones(trainer: Trainer) -> dict[str, Tensor]:
    return {name: torch.ones_like(weight, requires_grad=True) for name, weight in trainer.weights.items()}


@pytest.mark.parametrize("batches", [1, 3])
def test_sensitivity_is_the_derivative_by_a_mask(make_trainer: Make, batches: int) -> None:
    trainer, twin = make_trainer(), make_trainer()
    found = Snip(batches=batches).sensitivity(trainer)
    factors = ones(twin)
    loss = torch.stack([masked_loss(twin, twin.next_batch(), factors) for _ in range(batches)]).mean()
    expected = torch.autograd.grad(loss, list(factors.values()))
    for (name, score), gradient in zip(found.items(), expected, strict=True):
        assert torch.allclose(score, gradient.abs(), rtol=1e-3, atol=1e-7), name
    assert trainer.allowance.spent == batches * trainer.settings.batch
    assert state_bytes(trainer) == state_bytes(make_trainer()), "scoring leaves no trace"


def test_sensitivity_is_how_the_loss_moves_with_a_mask(make_trainer: Make) -> None:
    trainer, twin = make_trainer(), make_trainer()
    found = Snip(batches=1).sensitivity(trainer)
    twin.model.double()
    batch = twin.next_batch()
    batch = Batch(
        batch.image.double(),
        {n: t.double() if t.is_floating_point() else t for n, t in batch.target.items()},
        batch.valid,
    )
    checked = 0
    for name, score in found.items():
        for position in score.flatten().topk(2).indices.tolist():
            moved = []
            for h in (1e-5, -1e-5):
                factors = {name: torch.ones_like(twin.weights[name])}
                factors[name].view(-1)[position] += h
                moved.append(float(masked_loss(twin, batch, factors).detach()))
            slope = abs(moved[0] - moved[1]) / 2e-5
            assert slope == pytest.approx(float(score.flatten()[position]), rel=1e-2), (name, position)
            checked += slope > 1e-6
    assert checked >= len(found)


def test_the_mask_is_the_exact_top_k(make_trainer: Make) -> None:
    trainer, twin = make_trainer(target=0.7), make_trainer(target=0.7)
    scores = Snip().sensitivity(twin)
    Snip().sparsify(trainer)
    assert trainer.mask is not None
    kept = torch.cat([scores[name][mask] for name, mask in trainer.mask.items()])
    gone = torch.cat([scores[name][~mask] for name, mask in trainer.mask.items()])
    assert len(gone) == round(0.7 * trainer.groups.weights)
    assert kept.min() >= gone.max()


def test_a_group_has_the_sum_of_its_weights() -> None:
    scores = torch.arange(24.0).view(2, 3, 2, 2)
    by_hand = [sum(float(scores[o, c, y, x]) for o in range(2) for y in range(2) for x in range(2)) for c in range(3)]
    assert group_sums(scores).tolist() == by_hand == [60.0, 92.0, 124.0]


def test_dropout_is_off_while_scoring_and_on_again(make_trainer: Make) -> None:
    plain, dropping = make_trainer(), make_trainer()
    dropout = nn.Dropout(0.9)
    dropping.model.backbone.stem.append(dropout)
    expected, found = Snip(batches=1).sensitivity(plain), Snip(batches=1).sensitivity(dropping)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert dropout.training


def test_redrawn_weights_are_xavier_and_only_scored(make_trainer: Make) -> None:
    trainer = make_trainer(width=16)
    before = state_bytes(trainer)
    with redrawn(trainer):
        for module in trainer.model.modules():
            if isinstance(module, nn.Conv2d) and module.weight.numel() > 4000:
                fan_in, fan_out = module.weight[0].numel(), module.weight[:, 0].numel()
                assert float(module.weight.detach().std()) == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.05)
    assert state_bytes(trainer) == before
    own, fresh = Snip().sensitivity(make_trainer()), Snip(redraw=True).sensitivity(make_trainer())
    assert any(not torch.equal(own[name], fresh[name]) for name in own)


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_it_meets_the_budget_and_spends_its_allowance(make_trainer: Make, target: float, structured: bool) -> None:
    trainer = make_trainer(target=target, width=8)
    Snip(structured=structured).sparsify(trainer)
    assert trainer.mask is not None
    assert trainer.mask.structured == structured
    tolerance = trainer.budget.tolerance(structured)
    assert trainer.budget.sparsity(trainer.mask) == pytest.approx(target, abs=tolerance)
    assert trainer.sparsity(structured) >= trainer.budget.sparsity(trainer.mask)
    assert trainer.allowance.left < trainer.settings.batch


@pytest.mark.parametrize("structured", [False, True])
def test_it_learns(make_trainer: Make, structured: bool) -> None:
    trainer = make_trainer(samples=1000, lr=1e-2, target=0.5)
    Snip(structured=structured).sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.7


def test_same_seed_same_bytes(make_trainer: Make) -> None:
    def run(seed: int) -> bytes:
        trainer = make_trainer(seed=seed, target=0.5)
        Snip(redraw=True).sparsify(trainer)
        return state_bytes(trainer)

    outside = torch.random.get_rng_state()
    assert run(1) == run(1) != run(2)
    assert torch.equal(torch.random.get_rng_state(), outside)
