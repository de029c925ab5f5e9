"""AdapMTL: soft thresholds, how they learn, and the adaptive loss weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from msbench.api import Step, UserError, View
from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.adapmtl import AdapMTL
from msbench_plugins.sparsifiers.adapmtl_parts.learning import ThresholdLearning
from msbench_plugins.sparsifiers.adapmtl_parts.thresholds import (
    SoftThresholds,
    budget_shares,
    scores_with_shares,
)
from tests.sparsifiers.helpers import logged, state_bytes, whole_model

Make = Callable[..., Trainer]


def thresholds_of(
    trainer: Trainer, group: Any = "component", unit: Any = "threshold", **options: Any
) -> SoftThresholds:
    return SoftThresholds(trainer, group, unit, options.get("structured", False), options.get("start"))


# -- the view ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("group", ["single", "two", "component", "layer"])
def test_gradients_of_weights_and_thresholds_are_those_of_finite_differences(
    make_trainer: Make, group: str, structured: bool
) -> None:
    trainer = whole_model(make_trainer(width=2))
    trainer.model.double()
    view = thresholds_of(trainer, group, structured=structured)
    names = ["backbone.stage1.0.conv1.weight", "heads.normals.lateral.0.weight"]
    with torch.no_grad():
        # each threshold in the middle of what it is compared with, so that both sides of the kinks are met
        for number in range(len(view.names)):
            covered = [layer.name for layer, i in zip(view.groups.layers, view.index, strict=True) if i == number]
            sizes = [view.magnitudes(name).flatten() for name in covered if f"{name}.weight" in names]
            if sizes:
                middle = 1.01 * torch.cat(sizes).median()
                view.theta[number] = torch.logit(middle / view.unit[view.index == number][0])
    leaves = [trainer.model.get_parameter(name).detach().clone().requires_grad_() for name in names]
    others = {name: value.detach() for name, value in trainer.model.named_parameters()}

    def used(theta: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        view.theta = theta
        result = view.weights(others | dict(zip(names, weights, strict=True)))
        return tuple(result[name] for name in names)

    theta = view.theta.detach().clone().requires_grad_()
    zeros = torch.cat([value.flatten() for value in used(theta, *leaves)]).eq(0).double().mean()
    assert 0.05 < zeros < 0.95, "some weights on each side"
    assert torch.autograd.gradcheck(used, (theta, *leaves), eps=1e-7, atol=1e-5)


def test_gradients_are_the_closed_form(make_trainer: Make) -> None:
    trainer = whole_model(make_trainer())
    view = thresholds_of(trainer, unit="paper")
    with torch.no_grad():
        view.theta.fill_(-3.0)
    used = view.weights(dict(trainer.model.named_parameters()))
    generator = torch.Generator().manual_seed(1)
    upstream = {name: torch.randn(w.shape, generator=generator) for name, w in trainer.weights.items()}
    torch.stack([(used[f"{n}.weight"] * g).sum() for n, g in upstream.items()]).sum().backward()

    # α is the same for every layer of a component; B = |W| > α, dL/dW = B G, dL/dθ = -α (1 - α) sum B sign(W) G
    alpha = 1.0 / (1.0 + math.exp(3.0))
    expected = dict.fromkeys(view.names, 0.0)
    for name, weight in trainer.weights.items():
        alive = (weight.detach().abs() > alpha).float()
        assert torch.equal(weight.grad, alive * upstream[name]), name  # type: ignore[arg-type]
        assert torch.allclose(used[f"{name}.weight"], weight.sign() * torch.relu(weight.abs() - alpha), atol=1e-7)
        component = "backbone" if name.startswith("backbone") else name.split(".")[1]
        expected[component] -= float((alive * weight.detach().sign() * upstream[name]).sum()) * alpha * (1 - alpha)
    assert view.theta.grad is not None
    assert view.theta.grad.tolist() == pytest.approx(list(expected.values()), rel=1e-4)


def test_a_weight_at_its_threshold_is_pruned(make_trainer: Make) -> None:
    trainer = make_trainer()
    view = thresholds_of(trainer, unit="paper")
    layer = trainer.groups.layers[0]
    with torch.no_grad():
        view.theta.zero_()
        for weight in trainer.weights.values():
            weight.fill_(0.75)
        trainer.weights[layer.name].flatten()[:3] = torch.tensor([0.5, -0.5, 0.25])
    used = view.weights(dict(trainer.model.named_parameters()))[f"{layer.name}.weight"].flatten()
    assert used[:4].tolist() == [0.0, 0.0, 0.0, 0.25]
    assert view.zeros() == [3]


def test_group_version_shrinks_channels_by_their_root_mean_square(make_trainer: Make) -> None:
    trainer = make_trainer()
    view = thresholds_of(trainer, unit="paper", structured=True)
    layer = trainer.groups.layers[1]
    with torch.no_grad():
        view.theta.zero_()
        for weight in trainer.weights.values():
            weight.fill_(1.0)
        trainer.weights[layer.name][:, 0] = 0.4
        trainer.weights[layer.name][:, 1] = -2.0
    used = view.weights(dict(trainer.model.named_parameters()))[f"{layer.name}.weight"]
    # α = 0.5: 0.4 dies, 1 -> 0.5, 2 -> 1.5
    assert not used[:, 0].any()
    assert torch.allclose(used[:, 1], torch.full_like(used[:, 1], -1.5))
    assert torch.allclose(used[:, 2:], torch.full_like(used[:, 2:], 0.5))
    assert view.zeros() == [layer.size]


@pytest.mark.parametrize(("group", "count"), [("single", 1), ("two", 2), ("component", 3), ("layer", 0)])
def test_how_many_thresholds_there_are(make_trainer: Make, group: str, count: int) -> None:
    trainer = whole_model(make_trainer())
    view = thresholds_of(trainer, group)
    assert len(view.theta) == len(view.names) == (count or len(trainer.groups.layers))
    assert sum(view.sizes) == trainer.groups.weights
    if group == "component":
        assert view.names == ["backbone", "segmentation", "normals"]
    if group in ("single", "two", "component"):
        assert len(thresholds_of(make_trainer(), group).theta) == 1, "the backbone alone"


@pytest.mark.parametrize("unit", ["threshold", "layer", "paper"])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_nearly_nothing_is_removed_at_the_start(make_trainer: Make, unit: str, scale: float) -> None:
    trainer = whole_model(make_trainer(width=8))
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.mul_(scale)
    view = thresholds_of(trainer, unit=unit)
    assert 0.005 < sum(view.zeros()) / trainer.groups.weights < 0.05


def test_the_unit_is_the_papers_for_the_papers_initialisation(make_trainer: Make) -> None:
    trainer = make_trainer(width=8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.copy_(0.01 * torch.randn(weight.shape, generator=generator))
    for unit in ("threshold", "layer"):
        assert torch.allclose(thresholds_of(trainer, unit=unit).unit, torch.ones(()), rtol=0.1)
    # 90 % of N(0, 0.01) lie within 1.645 standard deviations: α = 0.0165, θ = -4.09
    view = thresholds_of(trainer, unit="paper")
    with torch.no_grad():
        view.theta.fill_(-4.09)
    assert sum(view.zeros()) / trainer.groups.weights == pytest.approx(0.9, abs=0.02)


def test_a_start_that_removes_at_once_is_refused(make_trainer: Make) -> None:
    with pytest.raises(UserError, match=r"theta_start: 0.0 zeroes 100% of the weights at once"):
        thresholds_of(make_trainer(), start=0.0)


# -- learning and settling -----------------------------------------------------------------------------------------


def test_theta_takes_adams_step_with_coupled_decay(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.9)
    view = thresholds_of(trainer)
    learning = ThresholdLearning(trainer, view, steps=100, decay=0.5, steer=0.0)
    theta = view.theta.tolist()
    m = v = 0.0
    for index, slope in enumerate((3.0, -1.0, 9.0), start=1):
        view.theta.grad = torch.tensor([slope])
        learning.step(Step(index - 1, False, 1e-3))
        gradient = slope + 0.5 * theta[-1]
        m, v = 0.5 * m + 0.5 * gradient, 0.999 * v + 0.001 * gradient**2
        pace = (m / (1 - 0.5**index)) / (math.sqrt(v / (1 - 0.999**index)) + 1e-8)
        theta.append(theta[-1] - 12.0 / 100 * pace)
        assert view.theta.tolist() == pytest.approx(theta[-1:], rel=1e-5)
    assert theta[2] > theta[1] > theta[0] < theta[3], "decay alone raises θ; a loss that wants weights back lowers it"
    assert theta[3] < theta[2]


def test_theta_and_mask_freeze_at_the_target(make_trainer: Make) -> None:
    trainer = whole_model(make_trainer(target=0.5, samples=480, lr=1e-2))
    view = thresholds_of(trainer)
    trainer.view = view
    learning = ThresholdLearning(trainer, view, steps=40, decay=1e-3, steer=10.0)
    thetas, masks = [], []

    def step(step: Step) -> None:
        learning.step(step)
        thetas.append(view.theta.detach().clone())
        masks.append(None if trainer.mask is None else trainer.mask.digest())

    trainer.train(steps=40, after_step=step)
    frozen = next(index for index, mask in enumerate(masks) if mask is not None)
    assert 0 < frozen < 39
    assert not torch.equal(thetas[frozen - 1], thetas[frozen])
    assert all(torch.equal(theta, thetas[frozen]) for theta in thetas[frozen:])
    assert set(masks[frozen:]) == {masks[frozen]}
    assert max(logged(trainer, "sparsity")[: frozen - 1]) < 0.5
    assert trainer.natural == pytest.approx(0.5, abs=0.002), "the last step of θ is cut where the target is met"
    assert type(trainer.view) is View


def test_a_target_that_is_not_reached_is_settled_at_the_end(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.8)
    AdapMTL(decay=1e-12, steer=0.0).sparsify(trainer)
    assert trainer.natural is not None
    assert trainer.natural < 0.4
    assert trainer.sparsity(structured=False) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("scope", ["backbone", "model"])
@pytest.mark.parametrize(("target", "steps"), [(0.3, 20), (0.5, 20), (0.8, 20), (0.9, 20), (0.9, 60)])
def test_budget_is_met(make_trainer: Make, target: float, scope: str, steps: int) -> None:
    trainer = make_trainer(target=target, samples=8 * steps, lr=1e-2)
    if scope == "model":
        whole_model(trainer)
    AdapMTL().sparsify(trainer)
    assert trainer.allowance.left < trainer.settings.batch
    assert trainer.sparsity(structured=False) == pytest.approx(target, abs=1e-3)
    assert trainer.natural == pytest.approx(target, abs=0.01), "the thresholds themselves get there"
    assert trainer.mask is not None
    for name, weight in trainer.weights.items():
        assert not weight[~trainer.mask[name]].any()
        assert trainer.mask[name].any()
    assert type(trainer.view) is View


@pytest.mark.parametrize("scope", ["backbone", "model"])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_structured_budget_is_met(make_trainer: Make, target: float, scope: str) -> None:
    trainer = make_trainer(target=target, samples=240, width=8, lr=1e-2)
    if scope == "model":
        whole_model(trainer)
    AdapMTL(structured=True).sparsify(trainer)
    trainer.finish()
    assert trainer.mask is not None
    assert trainer.mask.structured
    assert trainer.sparsity() == pytest.approx(target, abs=5e-3)


def test_settling_is_exact_and_keeps_each_components_share(make_trainer: Make) -> None:
    trainer = whole_model(make_trainer(target=0.5))
    view = thresholds_of(trainer)
    with torch.no_grad():
        view.theta.copy_(torch.tensor([-5.0, -6.0, -4.5]))
    zeros = dict(zip(view.names, view.zeros(), strict=True))
    latent = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
    before = {n: w.detach().clone() for n, w in view.weights(dict(trainer.model.named_parameters())).items()}
    ThresholdLearning(trainer, view, steps=1, decay=1e-3, steer=0.0).settle()
    assert trainer.mask is not None
    removed = dict.fromkeys(view.names, 0)
    for name, kept in trainer.mask.items():
        component = "backbone" if name.startswith("backbone") else name.split(".")[1]
        removed[component] += int((~kept).sum())
        alive = before[f"{name}.weight"] != 0
        assert torch.equal(trainer.weights[name][kept & alive], before[f"{name}.weight"][kept & alive])
        assert torch.equal(trainer.weights[name][kept & ~alive], latent[name][kept & ~alive])
    assert sum(removed.values()) == round(0.5 * trainer.groups.weights)
    factor = removed["backbone"] / zeros["backbone"]
    for component in ("segmentation", "normals"):
        assert removed[component] == pytest.approx(factor * zeros[component], abs=factor + 3), component


@given(
    zeros=st.lists(st.integers(0, 50), min_size=1, max_size=5),
    extra=st.lists(st.integers(0, 200), min_size=5, max_size=5),
    share=st.floats(0.0, 1.0),
)
def test_shares_fill_the_budget_in_proportion(zeros: list[int], extra: list[int], share: float) -> None:
    sizes = [count + 1 + more for count, more in zip(zeros, extra, strict=False)]
    capacity = share * sum(sizes)
    shares = budget_shares([float(count) for count in zeros], [float(size) for size in sizes], capacity)
    assert sum(shares) == pytest.approx(capacity, abs=1e-6)
    factors = [s / (count + 1) for s, count, size in zip(shares, zeros, sizes, strict=True) if s < size - 1e-6]
    assert all(factor == pytest.approx(factors[0], rel=1e-6, abs=1e-9) for factor in factors)
    assert all(s <= size for s, size in zip(shares, sizes, strict=True))


def test_scores_with_shares_by_hand() -> None:
    # group 0: layers 0 and 2, five weights of which two go; group 1: layer 1, two channels of three weights each
    magnitudes = [torch.tensor([0.3, 0.1]), torch.tensor([2.0, 1.0]), torch.tensor([0.2, 0.5, 0.4])]
    scores = scores_with_shares(magnitudes, index=[0, 1, 0], weights=[2, 6, 3], shares=[2.0, 3.0])
    assert [score.tolist() for score in scores] == [[0.5, -1.5], [1.5, -1.5], [-0.5, 2.5, 1.5]]


@pytest.mark.parametrize("start", [-8.3, -3.0])
def test_without_a_budget_theta_rests_where_loss_and_decay_balance(make_trainer: Make, start: float) -> None:
    trainer = make_trainer()
    view = thresholds_of(trainer)
    with torch.no_grad():
        view.theta.fill_(start)
    learning = ThresholdLearning(trainer, view, steps=1000, decay=0.01, steer=10.0)
    for index in range(1000):
        # a loss that grows with α: dL/dθ = exp(θ + 1)
        view.theta.grad = torch.exp(view.theta.detach() + 1)
        learning.step(Step(index, False, 1e-3))
    # the root of exp(θ + 1) = 0.01 |θ|
    assert math.exp(-4.1759 + 1) == pytest.approx(0.01 * 4.1759, rel=1e-3)
    assert view.theta.tolist() == pytest.approx([-4.1759], abs=0.25)


def test_natural_sparsity_is_kept_as_it_is(make_trainer: Make) -> None:
    trainer = make_trainer(samples=400, lr=1e-2)
    AdapMTL(beta="none").sparsify(trainer)
    assert trainer.natural is not None
    assert 0.05 < trainer.natural < 0.95
    assert trainer.sparsity(structured=False) == pytest.approx(trainer.natural, abs=1e-3)


# -- the whole -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"beta": "code"}, {"beta": "none", "structured": True}])
def test_it_learns(make_trainer: Make, options: dict[str, Any]) -> None:
    trainer = make_trainer(target=0.5, samples=480, width=8, lr=1e-2)
    AdapMTL(**options).sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.6


def test_same_seed_same_bytes_and_the_global_generator_is_left_alone(make_trainer: Make) -> None:
    state = torch.random.get_rng_state()
    trainers = [whole_model(make_trainer(seed=seed, target=0.5)) for seed in (3, 3, 4)]
    for trainer in trainers:
        AdapMTL().sparsify(trainer)
    assert state_bytes(trainers[0]) == state_bytes(trainers[1]) != state_bytes(trainers[2])
    assert trainers[0].history.rows == trainers[1].history.rows
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_history_shows_thresholds_sparsities_and_weights(make_trainer: Make) -> None:
    trainer = whole_model(make_trainer(target=0.5, samples=240))
    AdapMTL().sparsify(trainer)
    for name in ("backbone", "segmentation", "normals"):
        assert len(logged(trainer, f"threshold/{name}")) == len(logged(trainer, f"sparsity/{name}")) > 3
    for task in trainer.tasks:
        assert len(logged(trainer, f"loss_weight/{task.name}")) > 10
    assert logged(trainer, "sparsity")[-1] == pytest.approx(0.5, abs=1e-3)
