"""The published ways to learn λ, part by part: operators, λ and its gradients, regrowth, what settling needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import scipy.stats
import torch
import torch.nn.functional as F

from msbench.sparsity.prox import prox_euclidean
from msbench.training.meta import Episode, MetaTraining
from msbench.training.stepping import Step
from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.meta.lambdas import stages
from msbench_plugins.sparsifiers.meta.operators import OPERATORS, Metric, Operator, Penalty
from msbench_plugins.sparsifiers.meta.proximal import Proximal
from tests.sparsifiers.helpers import logged

Make = Callable[..., Trainer]
EVERY = list(OPERATORS)


# -- proximal operators ----------------------------------------------------------------------------------------------


def operator_on(kind: tuple[Penalty, Metric], shape: tuple[int, ...] = (6, 5, 3, 3)) -> tuple[Operator, torch.Tensor]:
    """An operator over one random float64 weight whose groups differ in size, and Adam's second moment."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    values *= torch.linspace(0.2, 1.5, shape[1], dtype=torch.float64).view(1, -1, *[1] * (len(shape) - 2))
    moment = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.05
    return OPERATORS[kind]([torch.nn.Parameter(values)], lambda weight: moment), moment


def middle(operator: Operator) -> float:
    """A threshold at which some units die, and is not the score of any."""
    scores = operator.scores()[0].flatten().sort().values
    return float(scores[len(scores) // 2] + scores[len(scores) // 2 - 1]) / 2


@pytest.mark.parametrize("kind", EVERY)
def test_scores_are_the_thresholds_at_which_units_die(kind: tuple[Penalty, Metric]) -> None:
    threshold = middle(operator_on(kind)[0])
    operator, _ = operator_on(kind)
    scores = operator.scores()[0]
    operator.shrink(threshold)
    assert torch.equal(operator.alive()[0], scores > threshold)
    assert 0 < int(operator.alive()[0].sum()) < scores.numel()


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (6, 5)])
@pytest.mark.parametrize("kind", EVERY)
def test_shrinking_reports_the_penalty_and_minimises_its_objective(
    kind: tuple[Penalty, Metric], shape: tuple[int, ...]
) -> None:
    """½ (z - x)ᵀ D (z - x) + t penalty(z) has no lower value nearby, nor at the operator's input."""
    operator, moment = operator_on(kind, shape)
    x = operator.weights[0].detach().clone()
    d = torch.ones_like(x) if kind[1] == "euclidean" else moment.sqrt() + 1e-8
    threshold = middle(operator)

    def penalty(z: torch.Tensor) -> float:
        if kind[0] == "l1":
            return float(z.abs().sum())
        return sum(math.sqrt(z[:, c].numel()) * float(z[:, c].norm()) for c in range(z.shape[1]))

    def objective(z: torch.Tensor) -> float:
        return float(0.5 * (d * (z - x).square()).sum()) + threshold * penalty(z)

    found = float(operator.shrink(threshold))
    assert found == pytest.approx(penalty(x))
    z = operator.weights[0].detach()
    generator = torch.Generator().manual_seed(1)
    others = [x, torch.zeros_like(x)]
    others += [z + 1e-3 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(20)]
    assert objective(z) < min(objective(other) for other in others)


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (6, 5)])
@pytest.mark.parametrize("kind", EVERY)
def test_slopes_are_the_derivative_of_the_proximal_step(kind: tuple[Penalty, Metric], shape: tuple[int, ...]) -> None:
    operator, _ = operator_on(kind, shape)
    threshold, size = middle(operator), 1e-6
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ends = []
    for sign in (1, -1):
        other, _ = operator_on(kind, shape)
        other.shrink(threshold + sign * size)
        ends.append(other.weights[0].detach() * direction)
    operator.shrink(threshold)
    slopes = operator.slopes(operator.weights[0], direction, threshold)
    expected = (ends[0] - ends[1]) / (2 * size)
    if kind[0] == "group":
        expected = expected.sum([d for d in range(len(shape)) if d != 1])
    assert torch.allclose(slopes, expected, rtol=1e-5, atol=1e-7)
    assert (expected == 0).any()


# -- λ ---------------------------------------------------------------------------------------------------------------


def test_direct_lambda_follows_softplus_and_only_falls(make_trainer: Make) -> None:
    trainer = make_trainer(samples=320)
    proximal = Proximal(trainer, rho=0.5, lr_lambda=10.0)
    assert proximal.lam.values() == {"": pytest.approx(float(F.softplus(torch.tensor(0.5))))}
    trainer.meta_train(MetaTraining(1, 1e-2, after_step=proximal.step), share=0.5)
    assert all(later < earlier for earlier, later in pairwise(logged(trainer, "lambda")))
    assert min(logged(trainer, "lambda_gradient")) > 0, "as published, the gradient of λ has one sign"


@pytest.mark.parametrize("penalty", ["group", "l1"])
def test_direct_gradient_is_the_derivative_of_the_penalised_objective(make_trainer: Make, penalty: Penalty) -> None:
    trainer = make_trainer()
    rho = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    terms = []
    for layer in trainer.groups.layers:
        weight = trainer.weights[layer.name].detach().double()
        norms = [math.sqrt(layer.size) * weight[:, c].norm() for c in range(layer.count)]
        terms += [weight.abs().sum()] if penalty == "l1" else norms
    total = torch.stack(terms).sum()
    (F.softplus(rho) * total).backward()

    proximal = Proximal(trainer, penalty=penalty, rho=0.5, lr_lambda=1.0)
    proximal.step(Step(0, False, 1e-3))
    assert logged(trainer, "lambda_gradient") == [pytest.approx(float(total), rel=1e-5)]
    assert logged(trainer, "penalty") == logged(trainer, "lambda_gradient")
    assert proximal.lam.rho.grad is not None
    assert float(proximal.lam.rho.grad[0]) == pytest.approx(float(rho.grad), rel=1e-5)  # type: ignore[arg-type]
    # Adam's first step is its learning rate, whatever the gradient
    assert float(proximal.lam.rho[0]) == pytest.approx(0.5 - 1e-3)


@pytest.mark.parametrize(("penalty", "metric"), EVERY)
def test_hyper_gradient_is_the_derivative_of_the_query_loss(
    make_trainer: Make, penalty: Penalty, metric: Metric
) -> None:
    """Through one proximal step of the toy network, in float64, by central differences in λ; some groups die."""
    trainer = make_trainer()
    query = trainer.next_batch()
    trainer.model.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # equal norms in a layer would all die together, and the loss would see nothing
        for weight in trainer.weights.values():
            weight.mul_(0.2 + torch.rand((1, weight.shape[1], 1, 1), generator=generator).double())
    start = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    moments = {id(w): 1e-2 * torch.rand(w.shape, generator=generator).double() for w in trainer.weights.values()}
    trainer.optimizer.second_moment = lambda weight: moments[id(weight)]  # type: ignore[method-assign]

    lam, size = math.log(2), 1e-7  # ρ = 0
    operator = OPERATORS[penalty, metric](list(trainer.weights.values()), trainer.optimizer.second_moment)
    scores = torch.cat([score.flatten() for score in operator.scores()]).sort().values
    lr = float(scores[len(scores) // 3 : len(scores) // 3 + 2].mean()) / lam

    def loss() -> torch.Tensor:
        outputs = trainer.model(query.image.double())
        return torch.stack(
            [t.loss(outputs[t.name], query.target[t.name], query.valid[t.name]) for t in trainer.tasks]
        ).sum()

    def after_step(lam: float) -> torch.Tensor:
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                parameter.copy_(start[name])
        OPERATORS[penalty, metric](list(trainer.weights.values()), trainer.optimizer.second_moment).shrink(lr * lam)
        return loss()

    with torch.no_grad():
        expected = float(after_step(lam + size) - after_step(lam - size)) / (2 * size)

    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            parameter.copy_(start[name])
    proximal = Proximal(trainer, "hyper", penalty, metric, rho=0.0, lr_lambda=0.0)
    proximal.step(Step(0, False, lr))
    assert 0.05 < logged(trainer, "sparsity")[-1] < 0.95
    names = dict(trainer.model.named_parameters())
    gradients = torch.autograd.grad(loss(), list(names.values()))
    proximal.observe(Episode(("segmentation",), dict(zip(names, gradients, strict=True)), {}))
    proximal.step(Step(1, False, lr))
    assert logged(trainer, "lambda_gradient") == [0.0, pytest.approx(expected, rel=1e-3)]
    assert abs(expected) > 1e-6


def test_hyper_gradient_is_the_mean_over_the_episodes_that_have_the_layer(make_trainer: Make) -> None:
    found = {}
    trainer = make_trainer()
    layers = [f"{layer.name}.weight" for layer in trainer.groups.layers]
    ones = {f"{name}.weight": torch.ones_like(weight) for name, weight in trainer.weights.items()}
    without = {name: ones[name] for name in layers[1:]}
    for label, episodes in {
        "one": [ones],
        "two": [ones, without],
        "double": [ones, {n: 3 * g for n, g in ones.items()}],
    }.items():
        trainer = make_trainer()
        proximal = Proximal(trainer, "hyper", rho=0.0, lr_lambda=0.0)
        proximal.step(Step(0, False, 1e-3))
        for gradients in episodes:
            proximal.observe(Episode(("segmentation",), gradients, {}))
        proximal.step(Step(1, False, 1e-3))
        found[label] = logged(trainer, "lambda_gradient")[-1]
    assert found["two"] == pytest.approx(found["one"]), "a layer that an episode lacks is not counted in its mean"
    assert found["double"] == pytest.approx(2 * found["one"])


def test_stages_are_the_first_parts_of_the_names() -> None:
    names = ["backbone.stem.0", "backbone.stage1.0.conv1", "backbone.stage1.1.conv1", "backbone.stage2.0.shortcut.0"]
    assert list(stages(names, "stage")) == ["backbone.stem", "backbone.stage1", "backbone.stage2"]
    listed = ["backbone.stages.0.0.conv1", "backbone.stages.1.0.conv1", "backbone.stages.1.1.downsample.0"]
    assert stages(listed, "stage") == {"backbone.stages.0": listed[:1], "backbone.stages.1": listed[1:]}
    assert stages(names, "network") == {"": names}


def test_every_stage_has_its_own_lambda(make_trainer: Make) -> None:
    trainer, twin = make_trainer(), make_trainer()
    proximal = Proximal(trainer, per="stage", lr_lambda=50.0)
    assert set(proximal.lam.rho.tolist()) == {logged(trainer, "rho_start")[0]}, "all start alike"
    with torch.no_grad():
        proximal.lam.rho.copy_(torch.linspace(-1, 2, len(proximal.layers)))
    lam = proximal.lam.values()
    proximal.step(Step(0, True, 1e-2))
    for stage, names in proximal.layers.items():
        expected = [twin.weights[name].detach() for name in names]
        norms = prox_euclidean(expected, 1e-2 * lam[stage])
        for name, weight, norm in zip(names, expected, norms, strict=True):
            assert torch.equal(trainer.weights[name], weight)
            root = math.sqrt(weight[:, 0].numel())
            assert torch.allclose(proximal.scores[name], norm / root / lam[stage]), "in units of its own λ"
        total = sum(math.sqrt(w[:, 0].numel()) * float(n.sum()) for w, n in zip(expected, norms, strict=True))
        assert logged(trainer, f"lambda_gradient/{stage}") == [pytest.approx(total, rel=1e-5)]
    assert len(lam) == 4
    assert logged(trainer, "lambda")[-1] == pytest.approx(sum(proximal.lam.values().values()) / 4)


def test_rho_starts_where_the_paper_says_or_where_the_metric_needs_it(make_trainer: Make) -> None:
    starts = [logged(make_and_start(make_trainer, seed), "rho_start")[0] for seed in range(40)]
    assert 0.1 <= min(starts) < 0.2
    assert 0.9 < max(starts) <= 1.0
    trainer = make_trainer()
    assert Proximal(trainer, metric="adaptive").lam.values()[""] == pytest.approx(9.1e-4, rel=0.01)


def make_and_start(make_trainer: Make, seed: int) -> Trainer:
    trainer = make_trainer(seed=seed, width=2)
    Proximal(trainer)
    return trainer


# -- regrowth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", ["group", "l1"])
def test_dead_units_regrow_with_their_probability_and_xavier_weights(make_trainer: Make, penalty: Penalty) -> None:
    trainer = make_trainer(width=16)
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight[:, ::2] = 0
    before = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
    proximal = Proximal(trainer, penalty=penalty, regrow_p=0.3)
    proximal.regrow()
    dead = back = 0
    values = []
    for name, weight in trainer.weights.items():
        assert torch.equal(weight[:, 1::2], before[name][:, 1::2]), "the living are left alone"
        fresh = weight.detach()[:, ::2]
        alive = fresh != 0 if penalty == "l1" else (fresh != 0).flatten(2).any(2).any(0)
        dead, back = dead + alive.numel(), back + int(alive.sum())
        reference = torch.nn.init.xavier_uniform_(torch.empty_like(weight), generator=torch.Generator().manual_seed(0))
        fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(reference)
        drawn = fresh[fresh != 0] / math.sqrt(6 / (fan_in + fan_out))
        values.append(drawn)
    assert scipy.stats.binomtest(back, dead, 0.3).pvalue > 0.01
    uniform = torch.cat(values)
    assert float(uniform.abs().max()) <= 1
    assert scipy.stats.kstest(uniform.double().numpy(), "uniform", args=(-1, 2)).pvalue > 0.01


def test_what_has_regrown_says_nothing_of_the_last_proximal_step(make_trainer: Make) -> None:
    gradients = []
    for p in (0.0, 1.0):
        trainer = make_trainer()
        with torch.no_grad():
            for weight in trainer.weights.values():
                weight[:, 1:] = 0
        proximal = Proximal(trainer, "hyper", rho=0.0, lr_lambda=0.0, regrow_p=p)
        proximal.step(Step(0, False, 1e-3))
        proximal.regrow()
        assert (trainer.sparsity() == 0) == (p == 1)
        ones = {f"{name}.weight": torch.ones_like(weight) for name, weight in trainer.weights.items()}
        proximal.observe(Episode(("segmentation",), ones, {}))
        proximal.step(Step(1, False, 1e-3))
        gradients.append(logged(trainer, "lambda_gradient")[-1])
    assert gradients[0] == pytest.approx(gradients[1])


def test_the_dead_rank_by_when_they_last_lived(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    weights = trainer.weights
    name = max(weights, key=lambda layer: weights[layer].shape[1])
    proximal = Proximal(trainer, "none", rho=0.0)
    root = math.sqrt(weights[name][:, 0].numel())
    norms = [[3.0, 3.0, 3.0], [0.1, 3.0, 3.0], [0.5, 0.1, 3.0], [0.1, 0.2, 3.0]]
    alive_at = {}
    for index, row in enumerate(norms):
        with torch.no_grad():
            for channel, norm in enumerate(row):
                weights[name][:, channel] *= 0
                weights[name][0, channel].view(-1)[0] = norm * root
            alive_at[index] = weights[name].detach().clone()
        proximal.step(Step(index, index == 3, 1.0))
    rank = proximal.last_alive.rank(proximal.scores, proximal.alive)[name]  # type: ignore[union-attr]
    assert rank[0] < rank[1] < 0 < rank[2]
    kept = proximal.last_alive.weights[name]  # type: ignore[union-attr]
    assert torch.equal(kept[:, 0], alive_at[1][:, 0]), "its value before the proximal step that killed it"
    assert torch.equal(kept[:, 1], alive_at[2][:, 1])
    assert torch.equal(kept[:, 2], alive_at[3][:, 2])
