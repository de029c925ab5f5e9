"""Meta-training against hand-differentiated cases, and the two ways to learn λ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from msbench.sparsity.groups import Groups
from msbench.training.balancing import Uncertainty
from msbench.training.meta import Episode, MetaTraining, power_set
from msbench.training.trainer import Trainer
from msbench.training.view import View
from msbench_plugins.sparsifiers.meta.direct import Direct
from msbench_plugins.sparsifiers.meta.saliency_share import SaliencyShare
from msbench_plugins.sparsifiers.meta_sparsity import MetaSparsity

Make = Callable[..., Trainer]


def test_power_set_is_every_combination() -> None:
    assert power_set(["a", "b", "c"]) == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert len(power_set("abcd")) == 2**4 - 1


class Quadratic:
    """A trainer's stand-in whose loss on a batch b is Σ (w - b)² / 2, so that everything is known in closed form."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.model.weight.copy_(torch.tensor([[1.0, -2.0]]))
        self.balancer = Uncertainty(["only"])
        self.view = View()
        self.batches = iter([torch.tensor([[3.0, 3.0]]), torch.tensor([[-1.0, 5.0]])])

    def next_batch(self) -> torch.Tensor:
        return next(self.batches)

    def losses(self, batch: torch.Tensor, active: object, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"only": 0.5 * (weights["weight"] - batch).square().sum()}


def test_first_order_gradient_of_a_quadratic() -> None:
    trainer, rate = Quadratic(), 0.1
    meta = MetaTraining(inner_steps=1, inner_lr=rate, meta_batch=1)
    episode = meta._episode(trainer, ("only",))  # type: ignore[arg-type]
    start, support, query = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 3.0]]), torch.tensor([[-1.0, 5.0]])
    adapted = start - rate * (start - support)
    assert torch.allclose(episode.gradients["weight"], adapted - query)
    assert torch.equal(trainer.model.weight.detach(), start), "the meta-parameters must not move in an episode"


def test_outer_gradient_averages_over_the_episodes_that_touch_a_head(make_trainer: Make) -> None:
    trainer = make_trainer()
    seen: list[Episode] = []
    meta = MetaTraining(inner_steps=1, inner_lr=1e-2, meta_batch=3, after_episode=seen.append)
    captured: dict[str, torch.Tensor] = {}
    original = trainer.update

    def capture(losses: object) -> None:
        captured.update({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})
        original(losses)  # type: ignore[arg-type]

    trainer.update = capture  # type: ignore[method-assign]
    meta.run(trainer, share=48 / 160)
    assert len(seen) == 3
    for name, gradient in captured.items():
        touching = [episode.gradients[name] for episode in seen if name in episode.gradients]
        assert torch.allclose(gradient, torch.stack(touching).mean(0), atol=1e-7), name
    for episode in seen:
        heads = {name.split(".")[1] for name in episode.gradients if name.startswith("heads.")}
        assert heads == set(episode.tasks)


def test_episode_samples_are_counted(make_trainer: Make) -> None:
    trainer = make_trainer(samples=160)
    meta = MetaTraining(inner_steps=2, inner_lr=1e-2, meta_batch=1)
    trainer.meta_train(meta, share=0.5)
    # 80 samples allow 3.33 outer steps of (2 + 1) * 8 samples: the nearest whole number is taken
    assert trainer.allowance.spent == 72


def test_uncertainty_uses_only_the_present_tasks() -> None:
    balancer = Uncertainty(["a", "b", "c"])
    with torch.no_grad():
        balancer.log_variance["a"].fill_(math.log(4.0))
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    # Σ exp(-s) L / 2 + s / 2 = 2 / (2·4) + ln 4 / 2 + 3 / 2
    assert float(balancer(losses).detach()) == pytest.approx(0.25 + math.log(4) / 2 + 1.5)
    assert float(balancer({"c": torch.tensor(7.0)})) == 7.0, "a single task's loss is used bare"
    balancer(losses).backward()
    assert balancer.log_variance["c"].grad is None
    # d/ds = -exp(-s) L / 2 + 1 / 2
    assert float(balancer.log_variance["a"].grad) == pytest.approx(-0.25 + 0.5)


def test_direct_lambda_follows_softplus_and_only_falls(make_trainer: Make) -> None:
    trainer = make_trainer(samples=800)
    penalty = Direct(trainer, rho=0.5, lr_lambda=10.0)
    assert penalty.lam == pytest.approx(float(F.softplus(torch.tensor(0.5))))
    meta = MetaTraining(1, 1e-2, 1, after_step=penalty.step)
    trainer.meta_train(meta, share=0.5)
    values = [value for _, _, name, value in trainer.history.rows if name == "lambda"]
    gradients = [value for _, _, name, value in trainer.history.rows if name == "lambda_gradient"]
    assert all(later < earlier for earlier, later in pairwise(values))
    assert min(gradients) > 0, "as published, the gradient of λ has one sign"


def test_direct_gradient_is_the_derivative_of_the_penalty(make_trainer: Make) -> None:
    trainer = make_trainer()
    total = 0.0
    for layer in trainer.groups.layers:
        weight = trainer.weights[layer.name].detach()
        total += sum(math.sqrt(layer.size) * float(weight[:, c].norm()) for c in range(layer.count))
    from msbench.training.stepping import Step

    penalty = Direct(trainer, rho=0.5, lr_lambda=1.0)
    penalty.step(Step(0, False, 1e-3))
    logged = [value for _, _, name, value in trainer.history.rows if name == "lambda_gradient"]
    assert logged[-1] == pytest.approx(total, rel=1e-5)


def saliency_share(trainer: Trainer, steps: int = 10) -> SaliencyShare:
    return SaliencyShare(trainer, phi=0.1, steps=steps)


def test_saliency_is_the_mean_square_of_gradient_times_weight(make_trainer: Make) -> None:
    trainer = make_trainer()
    share = saliency_share(trainer)
    generator = torch.Generator().manual_seed(0)
    gradients = {f"{n}.weight": torch.randn(w.shape, generator=generator) for n, w in trainer.weights.items()}
    share.observe(Episode(("segmentation",), gradients, {}))
    raw = {
        n: torch.stack([(gradients[f"{n}.weight"] * w.detach())[:, c].square().mean() for c in range(w.shape[1])])
        for n, w in trainer.weights.items()
    }
    sizes = {layer.name: layer.size for layer in trainer.groups.layers}
    mean = sum(sizes[n] * float(f.sum()) for n, f in raw.items()) / trainer.groups.weights
    for name, expected in raw.items():
        assert torch.allclose(share.saliency[name], expected / mean, rtol=1e-4)


def test_used_weights_keep_each_layers_norm(make_trainer: Make) -> None:
    trainer = make_trainer()
    share = saliency_share(trainer)
    share.kept = {layer.name: torch.arange(layer.count) % 2 == 0 for layer in trainer.groups.layers}
    used = share.weights(dict(trainer.model.named_parameters()))
    for name, latent in trainer.weights.items():
        assert float(used[f"{name}.weight"].detach().norm()) == pytest.approx(float(latent.detach().norm()), rel=1e-5)
        assert not used[f"{name}.weight"][:, ~share.kept[name]].any()


def test_dual_ascent_finds_the_threshold_that_removes_the_share(make_trainer: Make) -> None:
    from msbench.training.stepping import Step

    trainer = make_trainer(width=16)
    share = saliency_share(trainer, steps=600)
    generator = torch.Generator().manual_seed(0)
    for layer in trainer.groups.layers:
        share.saliency[layer.name] = torch.rand(layer.count, generator=generator)
    for index in range(600):
        share.step(Step(index, False, 1e-3))
    found = [value for _, _, name, value in trainer.history.rows if name == "saliency_share"][-50:]
    assert sum(found) / len(found) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("learn", ["saliency_share", "direct"])
def test_meta_sparsity_meets_a_budget_exactly(make_trainer: Make, learn: str) -> None:
    trainer = make_trainer(target=0.6, samples=800, width=16)
    MetaSparsity(learn=learn).sparsify(trainer)  # type: ignore[arg-type]
    trainer.finish()
    assert abs(trainer.sparsity() - 0.6) < 0.005
    names = {name for _, _, name, _ in trainer.history.rows}
    assert {"lambda", "lambda_gradient", "sparsity"} <= names


@pytest.mark.parametrize("learn", ["saliency_share", "direct"])
def test_meta_sparsity_over_the_whole_model(make_trainer: Make, learn: str) -> None:
    """Heads of tasks that an episode does not have are in the budget, but not in that episode's gradients."""
    trainer = make_trainer(target=0.5, samples=800, width=16)
    trainer.budget = replace(trainer.budget, scope="model", groups=Groups.of(trainer.model, "model"))
    MetaSparsity(learn=learn).sparsify(trainer)  # type: ignore[arg-type]
    trainer.finish()
    assert abs(trainer.sparsity() - 0.5) < 0.005
    assert trainer.mask is not None
    assert any(name.startswith("heads.") and not kept.all() for name, kept in trainer.mask.items())


def test_natural_meta_sparsity_prunes_without_being_told_how_much(make_trainer: Make) -> None:
    trainer = make_trainer(samples=2400, width=16)
    MetaSparsity(phi=0.1).sparsify(trainer)
    trainer.finish()
    assert 0.05 < trainer.sparsity() < 0.95
    assert trainer.natural == pytest.approx(trainer.sparsity())
