"""Penalties that prepare exact pruning: growing regularisation, group norm, batch-norm scales."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from msbench.api import Mask, Sparsifier, Step, Trainer, UserError
from msbench_plugins.sparsifiers.bn_scale import BatchNormSlimming, batch_norm_scales, soft_threshold
from msbench_plugins.sparsifiers.group_decay import decay
from msbench_plugins.sparsifiers.group_norm import GroupNorm, strengths
from msbench_plugins.sparsifiers.growing_reg import Growing, GrowingReg
from tests.sparsifiers.helpers import state_bytes

Make = Callable[..., Trainer]
WAYS: dict[str, Callable[[], Sparsifier]] = {
    "growing_reg": GrowingReg,
    "group_norm": GroupNorm,
    "bn_scale": lambda: BatchNormSlimming(criterion="magnitude"),
    "bn_scale, subgradient": lambda: BatchNormSlimming(criterion="magnitude", update="subgradient"),
}


def odd_channels(trainer: Trainer) -> Mask:
    return Mask({layer.name: torch.arange(layer.count) % 2 == 0 for layer in trainer.groups.layers})


def copies(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.weights.items()}


# -- what all have in common ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_the_target_is_met_and_the_allowance_spent(make_trainer: Make, way: str, target: float) -> None:
    trainer = make_trainer(samples=80, target=target)
    WAYS[way]().sparsify(trainer)
    largest = max(layer.size for layer in trainer.groups.layers) / trainer.groups.weights
    assert abs(trainer.sparsity() - target) <= max(0.005, largest / 2)
    assert trainer.mask is not None
    assert trainer.mask.structured
    assert trainer.allowance.left < trainer.settings.batch


@pytest.mark.parametrize("way", WAYS)
def test_it_learns(make_trainer: Make, way: str) -> None:
    trainer = make_trainer(samples=800, lr=1e-2, target=0.5)
    WAYS[way]().sparsify(trainer)
    assert trainer.evaluate().score(trainer.loss_floor) < 0.6


@pytest.mark.parametrize("way", WAYS)
def test_same_seed_same_bytes(make_trainer: Make, way: str) -> None:
    first, second = make_trainer(target=0.5), make_trainer(target=0.5)
    for trainer in (first, second):
        WAYS[way]().sparsify(trainer)
    assert state_bytes(first) == state_bytes(second)


# -- the L2 penalty ---------------------------------------------------------------------------------------------------


def test_decay_is_the_penalty_under_plain_gradient_descent(make_trainer: Make) -> None:
    trainer, twin = make_trainer(), make_trainer()
    generator = torch.Generator().manual_seed(0)
    factors = {layer.name: 3 * torch.rand(layer.count, generator=generator) for layer in trainer.groups.layers}
    decay(trainer, factors, 0.1)
    weights = twin.weights
    squares = [(factors[n] * w.square().sum((0, 2, 3))).sum() / 2 for n, w in weights.items()]
    torch.stack(squares).sum().backward()
    torch.optim.SGD(weights.values(), lr=0.1).step()
    for name, weight in trainer.weights.items():
        torch.testing.assert_close(weight, weights[name])


def test_decay_stops_at_zero(make_trainer: Make) -> None:
    trainer = make_trainer()
    decay(trainer, {layer.name: torch.full((layer.count,), 20.0) for layer in trainer.groups.layers}, 0.1)
    assert all(not weight.any() for weight in trainer.weights.values())


# -- growing regularisation -------------------------------------------------------------------------------------------


def test_the_growing_penalty_after_k_steps_in_closed_form(make_trainer: Make) -> None:
    """δ = 2 every 3 steps up to 5: factors 2 2 2 4 4 4 5 5; each step leaves 1 - lr factor."""
    trainer = make_trainer()
    before, mask = copies(trainer), odd_channels(trainer)
    growing = Growing(trainer, mask, every=3, delta=2.0, ceiling=5.0)
    rates = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    for index, lr in enumerate(rates):
        growing.shrink(Step(index, False, lr))
    left = math.prod(1 - lr * factor for lr, factor in zip(rates, (2, 2, 2, 4, 4, 4, 5, 5), strict=True))
    for name, weight in trainer.weights.items():
        kept = mask[name]
        assert torch.equal(weight[:, kept], before[name][:, kept])
        torch.testing.assert_close(weight[:, ~kept], left * before[name][:, ~kept])
    # the same, not from the code: after growing for long the logarithm falls quadratically in time
    growing = Growing(trainer, mask, every=1, delta=0.01, ceiling=math.inf)
    assert sum(growing.factor(k) for k in range(1000)) == pytest.approx(0.01 * 1000 * 1001 / 2)


def test_without_delta_the_ceiling_is_reached_after_three_quarters(make_trainer: Make) -> None:
    trainer = make_trainer(samples=640)  # 80 steps, of which 40 grow, in 6 raises
    growing = GrowingReg(grow_share=0.5, every=5, ceiling=12.0).growing(trainer, odd_channels(trainer))
    factors = [growing.factor(index) for index in range(40)]
    assert factors[::5] == pytest.approx([2, 4, 6, 8, 10, 12, 12, 12])
    assert factors[:5] == pytest.approx([2] * 5)
    set_by_hand = GrowingReg(grow_share=0.5, every=5, ceiling=12.0, delta=0.5)
    assert set_by_hand.growing(trainer, odd_channels(trainer)).factor(5) == 1.0


def test_exactly_what_was_chosen_after_the_dense_stage_goes_and_is_small_by_then(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(samples=320, target=0.5)
    ranked: list[tuple[int, dict[str, Tensor]]] = []
    rank, apply = trainer.rank, trainer.apply_mask
    ratios: list[float] = []

    def watch_rank(criterion: str, structured: bool = True) -> dict[str, Tensor]:
        ranked.append((trainer.allowance.spent, rank(criterion, structured)))
        return ranked[-1][1]

    def watch_apply(mask: Mask) -> None:
        mean = {True: 0.0, False: 0.0}
        for name, weight in trainer.weights.items():
            for alive in mean:
                mean[alive] += float(weight.detach()[:, mask[name] == alive].square().sum())
        ratios.append(mean[False] / mean[True])
        apply(mask)

    monkeypatch.setattr(trainer, "rank", watch_rank)
    monkeypatch.setattr(trainer, "apply_mask", watch_apply)
    GrowingReg(dense_share=0.25, grow_share=0.5, ceiling=100.0).sparsify(trainer)
    ((spent, scores),) = ranked
    assert spent == 80
    chosen = trainer.budget.select(scores)
    assert trainer.mask is not None
    assert all(torch.equal(trainer.mask[name], kept) for name, kept in chosen.items())
    assert ratios[0] < 0.02, "energy of what is removed, against that of what stays"


def test_growing_must_leave_something_to_fine_tune_with() -> None:
    with pytest.raises(UserError, match="leave nothing"):
        GrowingReg(dense_share=0.5, grow_share=0.5)


# -- group norm -------------------------------------------------------------------------------------------------------


def test_strengths_by_hand() -> None:
    assert strengths(torch.tensor([5.0, 1.0, 3.0, 4.0]), 4.0).tolist() == pytest.approx([1.0, 16.0, 4.0, 2.0])
    assert strengths(torch.tensor([5.0, 1.0, 3.0]), 0.0).tolist() == [1.0, 1.0, 1.0]
    assert strengths(torch.tensor([2.0, 2.0]), 4.0).tolist() == [1.0, 1.0], "equal norms: no weak group"


def test_one_step_of_group_norm_by_hand(make_trainer: Make) -> None:
    trainer = make_trainer()
    weight = trainer.weights["backbone.stem.0"]
    with torch.no_grad():
        weight.copy_(torch.tensor([1.0, 0.2, 0.6]).view(1, 3, 1, 1).expand_as(weight))
    GroupNorm(alpha=2.0, strength=0.5).shrink(trainer, Step(0, False, 0.1))
    # strengths 1, 4, 2: 1 - 0.1 * 0.5 * strength
    assert weight.detach()[0, :, 0, 0].tolist() == pytest.approx([0.95, 0.2 * 0.8, 0.6 * 0.9])


def test_group_norm_drives_groups_apart(make_trainer: Make) -> None:
    """The weakest groups of every layer lose more against the strongest than without the penalty."""

    def ratio(strength: float) -> float:
        trainer = make_trainer(samples=320, target=0.5)
        sparsifier = GroupNorm(strength=strength)
        trainer.train(share=0.5, after_step=lambda step: sparsifier.shrink(trainer, step))
        scores = trainer.rank("magnitude")
        return sum(float(score.min() / score.max()) for score in scores.values()) / len(scores)

    assert ratio(1.0) < 0.8 * ratio(1e-9)


# -- batch-norm scales ------------------------------------------------------------------------------------------------


def test_the_scope_decides_which_scales_are_penalised(make_trainer: Make) -> None:
    trainer = make_trainer()
    scales = batch_norm_scales(trainer)
    expected = [p for n, p in trainer.model.named_parameters() if n.startswith("backbone.") and n.endswith("weight")]
    assert [id(scale) for scale in scales] == [id(p) for p in expected if p.ndim == 1]
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.affine = False
    with pytest.raises(UserError, match="no batch-norm scales"):
        batch_norm_scales(trainer)


def test_soft_threshold_by_hand() -> None:
    scale = torch.nn.Parameter(torch.tensor([1.0, -0.3, 0.1, -0.1, 0.0]))
    soft_threshold([scale], 0.2)
    assert scale.tolist() == pytest.approx([0.8, -0.1, 0.0, 0.0, 0.0])


def run_without_data(trainer: Trainer, sparsifier: BatchNormSlimming, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Every gradient is zero but for the penalty's; the scales (which start at 1) at the time of ranking."""
    found: list[Tensor] = []

    def backward(*_: object) -> dict[str, float]:
        for parameter in trainer.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return {}

    def rank(*_: object) -> dict[str, Tensor]:
        found.append(torch.cat([scale.detach().clone() for scale in batch_norm_scales(trainer)]))
        return {layer.name: torch.arange(layer.count).float() for layer in trainer.groups.layers}

    monkeypatch.setattr(trainer, "backward", backward)
    monkeypatch.setattr(trainer, "rank", rank)
    sparsifier.sparsify(trainer)
    return found[0]


def test_prox_lowers_every_scale_by_the_sum_of_the_thresholds(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(target=0.5, lr=0.02)
    scales = run_without_data(trainer, BatchNormSlimming(lam=3.0, sparse_share=0.5), monkeypatch)
    rates = [trainer.settings.lr_at(index / 20) for index in range(9)]  # ten steps, without the last
    torch.testing.assert_close(scales, torch.full_like(scales, 1 - 3.0 * sum(rates)))


def test_subgradient_is_a_step_of_adam_whatever_lambda_is(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient of constant sign moves each scale by lr a step: λ cancels, which is why prox is the default."""
    for lam in (0.01, 1.0):
        trainer = make_trainer(target=0.5, lr=0.02)
        sparsifier = BatchNormSlimming(update="subgradient", lam=lam, sparse_share=0.5)
        scales = run_without_data(trainer, sparsifier, monkeypatch)
        rates = [trainer.settings.lr_at(index / 20) for index in range(10)]
        torch.testing.assert_close(scales, torch.full_like(scales, 1 - sum(rates)), rtol=1e-4, atol=0)


def test_channels_of_small_scales_go_first(make_trainer: Make) -> None:
    """With the criterion of the same name: a scale that starts at nearly zero and is held down marks its channel."""
    trainer = make_trainer(target=0.3)
    norm = trainer.model.backbone.get_submodule("stage3.0.bn1")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight[::2] = 0.0
    BatchNormSlimming(lam=2.0).sparsify(trainer)
    assert trainer.mask is not None
    kept = trainer.mask["backbone.stage3.0.conv2"]
    assert not kept[::2].any()
    assert kept[1::2].sum() > 4
