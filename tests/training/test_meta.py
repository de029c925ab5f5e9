"""Episodes, their samples and outer steps, and λ as the multiplier of a saliency share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
import scipy.stats
import torch

from msbench.errors import UserError
from msbench.training.balancing import Uncertainty
from msbench.training.inner import ORDERS, Order
from msbench.training.meta import Episode, EpisodeChoice, MetaTraining, power_set
from msbench.training.trainer import Trainer

Make = Callable[..., Trainer]


def test_power_set_is_every_combination() -> None:
    assert power_set(["a", "b", "c"]) == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert len(power_set("abcd")) == 2**4 - 1


def test_an_episode_leaves_the_meta_weights_alone(make_trainer: Make) -> None:
    for order in ORDERS:
        trainer = make_trainer()
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        episode = MetaTraining(2, 0.1, order=order).episode(trainer, ("segmentation", "normals"))
        assert all(torch.equal(p, before[name]) for name, p in trainer.model.named_parameters())
        assert {"balancer:log_variance.segmentation", "balancer:log_variance.normals"} < set(episode.gradients)
        assert all(torch.isfinite(g).all() for g in episode.gradients.values())


def test_the_inner_loop_of_anil_leaves_the_backbone(make_trainer: Make) -> None:
    """So its backbone gradient on the query batch is that of plain training with the adapted heads."""
    gradients = {}
    for order in ("anil", "fomaml"):
        episode = MetaTraining(1, 0.5, order=order).episode(make_trainer(), ("segmentation",))  # type: ignore[arg-type]
        gradients[order] = episode.gradients
    trainer = make_trainer()
    support, query = trainer.next_batch(), trainer.next_batch()
    named = dict(trainer.model.named_parameters())
    heads = {name: p for name, p in named.items() if name.startswith("heads.segmentation")}
    found = torch.autograd.grad(trainer.losses(support, ["segmentation"])["segmentation"], list(heads.values()))
    with torch.no_grad():
        for parameter, g in zip(heads.values(), found, strict=True):
            parameter.sub_(0.5 * g)
    trainer.losses(query, ["segmentation"])["segmentation"].backward()
    for name, gradient in gradients["anil"].items():
        assert torch.allclose(gradient, named[name].grad, atol=1e-6), name  # type: ignore[arg-type]
    assert not torch.allclose(
        gradients["anil"]["backbone.stem.0.weight"], gradients["fomaml"]["backbone.stem.0.weight"]
    )


def test_outer_gradient_averages_over_the_episodes_that_touch_a_head(make_trainer: Make) -> None:
    trainer = make_trainer()
    seen: list[Episode] = []
    meta = MetaTraining(inner_steps=1, inner_lr=1e-2, meta_batch=3, after_episode=seen.append)
    captured: dict[str, torch.Tensor] = {}
    original = trainer.update

    def capture(losses: object, lr: float) -> None:
        captured.update({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})
        original(losses, lr)  # type: ignore[arg-type]

    trainer.update = capture  # type: ignore[method-assign]
    meta.run(trainer, share=48 / 160)
    assert len(seen) == 3
    for name, gradient in captured.items():
        touching = [episode.gradients[name] for episode in seen if name in episode.gradients]
        assert torch.allclose(gradient, torch.stack(touching).mean(0), atol=1e-7), name
    for episode in seen:
        heads = {name.split(".")[1] for name in episode.gradients if name.startswith("heads.")}
        assert heads == set(episode.tasks)


@pytest.mark.parametrize("order", ["fomaml", "maml", "anil", "reptile"])
def test_episode_samples_are_counted(make_trainer: Make, order: Order) -> None:
    trainer = make_trainer(samples=160)
    trainer.meta_train(MetaTraining(inner_steps=2, inner_lr=1e-2, order=order), share=0.5)
    # 80 samples allow 3.33 outer steps of (2 + 1) * 8 samples: the nearest whole number is taken
    assert trainer.allowance.spent == 72


def test_all_combinations_are_counted(make_trainer: Make) -> None:
    trainer = make_trainer(samples=160)
    seen: list[Episode] = []
    trainer.meta_train(MetaTraining(1, 1e-2, episodes="all", after_episode=seen.append), share=0.6)
    # two tasks, three combinations of support and query: 48 samples a step, two steps in 96
    assert trainer.allowance.spent == 96
    assert [episode.tasks for episode in seen] == 2 * power_set([task.name for task in trainer.tasks])


def test_no_outer_step_is_an_error_that_says_why(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="an outer step takes 96 samples, more than meta-training has"):
        make_trainer(samples=64).meta_train(MetaTraining(1, 1e-2, meta_batch=6), share=0.5)


@pytest.mark.parametrize(("episodes", "count"), [("power_set", 7), ("pairs", 4)])
def test_episodes_are_drawn_uniformly(episodes: EpisodeChoice, count: int) -> None:
    meta = MetaTraining(1, 1e-2, meta_batch=100, episodes=episodes)
    combos = meta.combinations(["a", "b", "c"])
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(tasks for _ in range(70) for tasks in meta.draw(combos, generator))
    assert set(drawn) == {combo for combo in power_set("abc") if len(combo) >= (2 if episodes == "pairs" else 1)}
    assert len(drawn) == count
    assert scipy.stats.chisquare(list(drawn.values())).pvalue > 0.01
    assert sum(drawn.values()) == 7000


def test_what_episodes_cannot_be() -> None:
    with pytest.raises(UserError, match="episodes='pairs' needs two tasks, and the only one is 'depth'"):
        MetaTraining(1, 1e-2, episodes="pairs").combinations(["depth"])
    with pytest.raises(ValueError, match="meta_batch=4: episodes='all' draws none"):
        MetaTraining(1, 1e-2, meta_batch=4, episodes="all")


@pytest.mark.parametrize("order", ["fomaml", "maml", "anil", "reptile"])
def test_meta_training_learns(make_trainer: Make, order: Order) -> None:
    trainer = make_trainer(seed=2, samples=640, lr=1e-2)
    before = trainer.evaluate().score(trainer.loss_floor)
    trainer.meta_train(MetaTraining(1, 1e-2, order=order))
    assert trainer.evaluate().score(trainer.loss_floor) < 0.6 < before


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
