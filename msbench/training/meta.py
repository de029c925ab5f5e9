"""Meta-training: episodes of task combinations, inner steps on support data, outer steps on query data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msbench.training.stepping import Step
from msbench.training.view import Weights

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


def power_set(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^N - 1 non-empty task combinations, smallest first (meta-sparsity paper, eq. 9)."""
    return [combo for size in range(1, len(tasks) + 1) for combo in combinations(tasks, size)]


@dataclass(frozen=True)
class Episode:
    """One finished episode: its tasks and the query gradients with respect to the adapted weights."""

    tasks: tuple[str, ...]
    gradients: Mapping[str, Tensor]
    losses: Mapping[str, float]


@dataclass
class MetaTraining:
    """First-order meta-learning (FOMAML) over episodes drawn uniformly from the power set of tasks.

    An episode clones the weights, takes `inner_steps` SGD steps at `inner_lr` on support batches with its own
    tasks' losses, and takes the gradient of its query loss with respect to the adapted weights. After `meta_batch`
    episodes the mean of these gradients makes one outer step; a head counts only in the episodes that have its
    task. Support and query batches are disjoint batches of the training part. Batch-norm uses batch statistics
    and its running statistics follow the adapted networks.

    The trainer's view says how the adapted weights start. after_episode, after_step: what an algorithm adds.
    """

    inner_steps: int
    inner_lr: float
    meta_batch: int
    after_episode: Callable[[Episode], None] | None = None
    after_step: Callable[[Step], None] | None = None

    def samples_a_step(self, batch: int) -> int:
        """Samples forward and backward of one outer step: support and query of every episode."""
        return self.meta_batch * (self.inner_steps + 1) * batch

    def run(self, trainer: Trainer, share: float | None) -> None:
        """Meta-train for `share` of the allowance, or for all that is left."""
        combinations_ = power_set([task.name for task in trainer.tasks])
        drawn: Counter[int] = Counter()
        count = trainer.steps(share, samples_a_step=self.samples_a_step(trainer.settings.batch))
        for index in range(count):
            lr = trainer.lr
            choices = torch.randint(len(combinations_), (self.meta_batch,), generator=trainer.generator).tolist()
            drawn.update(len(combinations_[choice]) for choice in choices)
            episodes = [self._episode(trainer, combinations_[choice]) for choice in choices]
            _leave_mean_gradients(trainer, episodes)
            trainer.update(_mean_losses(episodes))
            if self.after_step is not None:
                self.after_step(Step(index, index == count - 1, lr))
            trainer.evaluate_when_due()
            if index == count - 1 or index % (count // 20 + 1) == 0:
                for size, times in sorted(drawn.items()):
                    trainer.log(f"episodes/{size}_tasks", times)

    def _episode(self, trainer: Trainer, tasks: tuple[str, ...]) -> Episode:
        with torch.no_grad():
            adapted = trainer.view.weights(dict(trainer.model.named_parameters()))
        for _ in range(self.inner_steps):
            gradients, _ = _gradients(trainer, tasks, adapted)
            gradients = trainer.view.constrain(gradients)
            with torch.no_grad():
                adapted = {n: w - self.inner_lr * gradients[n] if n in gradients else w for n, w in adapted.items()}
        gradients, losses = _gradients(trainer, tasks, adapted, balancer=True)
        episode = Episode(tasks, gradients, losses)
        if self.after_episode is not None:
            self.after_episode(episode)
        return episode


def _gradients(
    trainer: Trainer, tasks: tuple[str, ...], weights: Weights, balancer: bool = False
) -> tuple[Weights, dict[str, float]]:
    """Gradients of the balanced loss of `tasks` on the next batch, for every parameter that they touch."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    losses = trainer.losses(trainer.next_batch(), tasks, leaves)
    if balancer:
        leaves |= {f"{BALANCER}{name}": parameter for name, parameter in trainer.balancer.named_parameters()}
    found = torch.autograd.grad(trainer.balancer(losses), list(leaves.values()), allow_unused=True)
    gradients = {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
    return gradients, {name: float(loss.detach()) for name, loss in losses.items()}


BALANCER = "balancer:"


def _leave_mean_gradients(trainer: Trainer, episodes: Sequence[Episode]) -> None:
    """Each parameter's gradient: the mean over the episodes that touch it."""
    trainer.optimizer.zero_grad()
    named = dict(trainer.model.named_parameters())
    named |= {f"{BALANCER}{name}": parameter for name, parameter in trainer.balancer.named_parameters()}
    for name, parameter in named.items():
        touched = [episode.gradients[name] for episode in episodes if name in episode.gradients]
        if touched:
            parameter.grad = torch.stack(touched).mean(0) if len(touched) > 1 else touched[0]


def _mean_losses(episodes: Sequence[Episode]) -> dict[str, float]:
    """Query loss per task, averaged over the episodes that have it."""
    collected: dict[str, list[float]] = {}
    for episode in episodes:
        for name, loss in episode.losses.items():
            collected.setdefault(name, []).append(loss)
    return {name: sum(values) / len(values) for name, values in collected.items()}
