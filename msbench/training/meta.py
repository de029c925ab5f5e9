"""Meta-training: episodes of task combinations, inner steps on support data, outer steps on query data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from msbench.errors import UserError
from msbench.training.inner import ORDERS, Inner, Order
from msbench.training.stage import Stage
from msbench.training.stateful import Stateful
from msbench.training.stepping import Step
from msbench.training.view import Weights

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer

EpisodeChoice = Literal["power_set", "pairs", "all"]
BALANCER = "balancer:"
"""Marks the loss balancer's parameters among an episode's gradients."""


def power_set(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^N - 1 non-empty task combinations, smallest first (meta-sparsity paper, eq. 9)."""
    return [combo for size in range(1, len(tasks) + 1) for combo in combinations(tasks, size)]


@dataclass(frozen=True)
class Episode:
    """One finished episode: its tasks, its outer gradients by parameter name, and its last batch's losses.

    gradients: with respect to the adapted weights (fomaml, anil) or to the start (maml, reptile).
    """

    tasks: tuple[str, ...]
    gradients: Mapping[str, Tensor]
    losses: Mapping[str, Tensor]


@dataclass
class MetaTraining:
    """Meta-learning over episodes of task combinations.

    An episode takes `inner_steps` SGD steps at `inner_lr` from the meta-weights, each on a support batch and with its
    own tasks' losses, and ends with a query batch. The mean of a meta-batch's outer gradients makes one outer step; a
    head counts only in the episodes that have its task. Support and query batches are disjoint batches of the
    training part. Batch-norm uses batch statistics, and its running statistics follow the adapted networks.

    order: the outer gradient. `fomaml` leaves out that the adapted weights depend on the start, `maml` does not
        (second order: about twice the time, and the memory of every inner step), `anil` adapts the heads only (first
        order), `reptile` follows the adapted weights, its query batch being one more inner step.
    meta_batch: episodes an outer step, drawn uniformly from `episodes`.
    episodes: `power_set` is all 2^N - 1 task combinations, `pairs` those of two and more tasks; `all` draws nothing:
        every outer step has each of the 2^N - 1.
    before_episode, after_episode, after_step: what an algorithm adds. The trainer's view says how the adapted weights
        start.
    state: what these keep from step to step, as for `trainer.train`.

    The allowance counts a sample once an episode, whatever the order makes of it.
    """

    inner_steps: int
    inner_lr: float
    meta_batch: int = 1
    order: Order = "fomaml"
    episodes: EpisodeChoice = "power_set"
    before_episode: Callable[[], None] | None = None
    after_episode: Callable[[Episode], None] | None = None
    after_step: Callable[[Step], None] | None = None
    state: object = None

    def __post_init__(self) -> None:
        if self.episodes == "all" and self.meta_batch != 1:
            raise ValueError(f"meta_batch={self.meta_batch}: episodes='all' draws none, it takes every combination")

    def combinations(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """What an episode's tasks may be."""
        smallest = 2 if self.episodes == "pairs" else 1
        found = [combo for combo in power_set(tasks) if len(combo) >= smallest]
        if not found:
            raise UserError(f"episodes='pairs' needs two tasks, and the only one is {tasks[0]!r}")
        return found

    def draw(self, combos: Sequence[tuple[str, ...]], generator: torch.Generator) -> list[tuple[str, ...]]:
        """The tasks of each episode of one outer step."""
        if self.episodes == "all":
            return list(combos)
        choices = torch.randint(len(combos), (self.meta_batch,), generator=generator)
        return [combos[choice] for choice in choices.tolist()]

    def samples_a_step(self, trainer: Trainer) -> int:
        """Samples forward and backward of one outer step: support and query of every episode."""
        every = 2 ** len(trainer.tasks) - 1 if self.episodes == "all" else self.meta_batch
        return every * (self.inner_steps + 1) * trainer.settings.batch

    def run(self, trainer: Trainer, share: float | None) -> None:
        """Meta-train for `share` of the allowance, or for all that is left."""
        combos = self.combinations([task.name for task in trainer.tasks])
        drawn = _Drawn()
        cost = self.samples_a_step(trainer)
        count = trainer.steps(share, samples_a_step=cost)
        if count == 0:
            raise UserError(f"an outer step takes {cost} samples, more than meta-training has: raise training.samples")
        hooks = (self.before_episode, self.after_episode, self.after_step)
        for index in Stage(trainer, count, "meta", hooks, self.state, own=(drawn,), plain=False):
            chosen = self.draw(combos, trainer.generator)
            drawn.sizes.update(len(tasks) for tasks in chosen)
            episodes = [self.episode(trainer, tasks) for tasks in chosen]
            lr = trainer.lr
            _leave_mean_gradients(trainer, episodes)
            trainer.update(_mean_losses(episodes), lr)
            if self.after_step is not None:
                self.after_step(Step(index, index == count - 1, lr))
            trainer.evaluate_when_due()
            if index == count - 1 or index % (count // 20 + 1) == 0:
                for size, times in sorted(drawn.sizes.items()):
                    trainer.log(f"episodes/{size}_tasks", times)

    def episode(self, trainer: Trainer, tasks: tuple[str, ...]) -> Episode:
        """One episode; the meta-weights stay as they are."""
        if self.before_episode is not None:
            self.before_episode()
        with torch.no_grad():
            start = trainer.view.weights(dict(trainer.model.named_parameters()))
        loss = _EpisodeLoss(trainer, tasks)
        extra: Weights = {f"{BALANCER}{name}": p for name, p in trainer.balancer.named_parameters()}
        inner = Inner(self.inner_steps, self.inner_lr, trainer.view.constrain)
        episode = Episode(tasks, ORDERS[self.order](loss, start, extra, inner), loss.latest)
        if self.after_episode is not None:
            self.after_episode(episode)
        return episode


class _Drawn(Stateful):
    """How many episodes of each size there were."""

    changes = ("sizes",)

    def __init__(self) -> None:
        self.sizes: Counter[int] = Counter()


class _EpisodeLoss:
    """The balanced loss of an episode's tasks on the next batch; remembers each task's own."""

    def __init__(self, trainer: Trainer, tasks: tuple[str, ...]) -> None:
        self._trainer, self._tasks = trainer, tasks
        self.latest: dict[str, Tensor] = {}

    def __call__(self, weights: Weights) -> Tensor:
        losses = self._trainer.losses(self._trainer.next_batch(), self._tasks, weights)
        self.latest = {name: loss.detach() for name, loss in losses.items()}
        return self._trainer.balancer(losses)


def _leave_mean_gradients(trainer: Trainer, episodes: Sequence[Episode]) -> None:
    """Each parameter's gradient: the mean over the episodes that touch it."""
    trainer.optimizer.zero_grad()
    named = dict(trainer.model.named_parameters())
    named |= {f"{BALANCER}{name}": parameter for name, parameter in trainer.balancer.named_parameters()}
    for name, parameter in named.items():
        touched = [episode.gradients[name] for episode in episodes if name in episode.gradients]
        if touched:
            parameter.grad = torch.stack(touched).mean(0) if len(touched) > 1 else touched[0]


def _mean_losses(episodes: Sequence[Episode]) -> dict[str, Tensor]:
    """Query loss per task in double precision, averaged over the episodes that have it."""
    collected: dict[str, list[Tensor]] = {}
    for episode in episodes:
        for name, loss in episode.losses.items():
            collected.setdefault(name, []).append(loss.double())
    return {name: sum(values[1:], start=values[0]) / len(values) for name, values in collected.items()}
