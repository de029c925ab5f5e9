"""Prune and regrow: the mask moves during training while the sparsity stays at its target."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from msbench.api import Budget, CriterionName, Mask, Sparsifier, Step, Trainer, UserError, group_norms
from msbench_plugins.sparsifiers.densities import Densities, Shapes, kept_weights
from msbench_plugins.sparsifiers.pruning import Init, Pruning, remove, train_dense

Growth = Literal["random", "gradient"]


@dataclass
class Regrowth(Sparsifier):
    """Prune once; then, again and again, drop the weakest groups and regrow others from fresh weights.

    After the meta-sparsity paper's regrowth of removed groups with Xavier-uniform weights, but at a held sparsity:
    each update regrows as many weights' worth of groups as it drops, so that runs stay comparable.

    criterion: what ranks groups for the first mask.
    init: the weights that are pruned: trained dense, or the initial ones.
    dense_share: share of the training allowance spent before pruning (`init=dense`).
    growth: what comes back: groups at random, or those with the largest gradient (root mean square over the group,
        on one batch, under the sparse network).
    every: optimizer steps between updates.
    drop: share of the kept weights that an update drops, smallest magnitude first; it falls to 0 along a half cosine.
    stop_share: when updates end, as a share of the allowance that is left after the dense stage.
    """

    name: ClassVar[str] = "regrowth"
    paper: ClassVar[str] = "Upadhyay, Phlypo, Saini and Liwicki. Meta-sparsity. arXiv 2501.12115, Table 6"
    criterion: CriterionName = "magnitude"
    init: Init = "dense"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.3
    growth: Growth = "random"
    every: Annotated[int, Ge(1)] = 10
    drop: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    stop_share: Annotated[float, Interval(gt=0, lt=1)] = 0.75

    def plain_share(self) -> float:
        return self.dense_share if self.init == "dense" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        train_dense(trainer, self.init, self.dense_share)
        pruning = Pruning(trainer, self.criterion, structured=True)
        pruning.reach(pruning.target)

        def update(progress: float) -> None:
            regrow_groups(trainer, pruning.target, cosine(self.drop, progress), self.growth)

        left = 1.0 - trainer.allowance.progress
        train_with_updates(trainer, self.stop_share * left, self.every, self.growth, update)
        trainer.train()

    def notes(self) -> list[str]:
        return [
            "sparsity is held at the target; in the paper nothing makes up for regrown groups and it falls (Table 6)",
            f"groups come back by {self.growth} choice between training steps, not at the start of meta-episodes",
        ]


@dataclass
class DynamicSparse(Sparsifier):
    """Train a sparse network from scratch; drop its smallest weights and grow as many others, layer by layer.

    `set` grows at random (Mocanu et al., 2018), `rigl` where the gradient is largest (Evci et al., 2020): the
    gradient of all weights, taken under the sparse network on one batch. Weights start from 0 where they grow. Single
    weights; the number of weights in each layer never changes.

    growth: where weights grow.
    decay: how the share that is dropped falls until updates end: along a half cosine (RigL), or not at all (SET).
    densities: how the kept weights are shared out among layers. `erk`: a layer's density is proportional to the sum of
        its dimensions over their product (Erdos-Renyi-Kernel), and a layer that would exceed 1 is dense; the first
        layer has no special place. `uniform`: the first layer in module order is dense and all others are equal;
        unlike in RigL it counts, so the others give up what it keeps. If it alone would exceed the budget, it is like
        the others.
    every: ΔT, optimizer steps between updates.
    drop: α, share of a layer's weights that the first update drops.
    stop_share: T_end, when updates end, as a share of the allowance.
    """

    name: ClassVar[str] = "dynamic_sparse"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "set": {"growth": "random", "decay": "constant"},
        "rigl": {"growth": "gradient", "decay": "cosine"},
    }
    paper: ClassVar[str] = (
        "Mocanu, Mocanu, Stone, Nguyen, Gibescu and Liotta. Scalable training of artificial neural networks with "
        "adaptive sparse connectivity inspired by network science. Nature Communications 9, 2018; "
        "Evci, Gale, Menick, Castro and Elsen. Rigging the lottery: making all tickets winners. ICML 2020"
    )
    growth: Growth = "gradient"
    decay: Literal["cosine", "constant"] = "cosine"
    densities: Densities = "erk"
    every: Annotated[int, Ge(1)] = 10
    drop: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    stop_share: Annotated[float, Interval(gt=0, lt=1)] = 0.75

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(random_mask(trainer, self.densities))

        def update(progress: float) -> None:
            fraction = cosine(self.drop, progress) if self.decay == "cosine" else self.drop
            rewire(trainer, fraction, self.growth)

        train_with_updates(trainer, self.stop_share, self.every, self.growth, update)
        trainer.train()

    def notes(self) -> list[str]:
        first = "the first layer is dense" if self.densities == "uniform" else "no layer is exempt"
        notes = [f"{self.densities} densities, {first}; updates every {self.every} steps until {self.stop_share:.0%}"]
        if self.growth == "random":
            notes.append("dropped by |w|, as in Evci et al.; the SET paper drops the same share of either sign")
            notes.append(
                "weights grow from 0, as in Evci et al., and the mask rests at the end; SET rewires to the end"
            )
        return notes


def cosine(start: float, progress: float) -> float:
    """The dropped share: from `start` to 0 along a half cosine (Evci et al., 2020)."""
    return start / 2 * (1 + math.cos(math.pi * progress))


def train_with_updates(
    trainer: Trainer, share: float, every: int, growth: Growth, update: Callable[[float], None]
) -> None:
    """Train for `share` of the allowance; `update(progress)` changes the mask at every `every`-th step but the last.

    By gradient an update takes the place of the optimizer's step, as in RigL's Algorithm 1: the gradients of removed
    weights are there to be looked at, and fit no weight that has just grown. At random it follows the step.
    """
    total = trainer.steps(share)

    def instead(step: Step) -> None:
        if step.index > 0 and step.index % every == 0:
            update(step.index / total)
            trainer.optimizer.zero_grad()

    def after(step: Step) -> None:
        done = step.index + 1
        if done < total and done % every == 0:
            update(done / total)

    if growth == "gradient":
        trainer.train(steps=total, before_step=instead, state=())
    else:
        trainer.train(steps=total, after_step=after, state=())


@torch.no_grad()
def regrow_groups(trainer: Trainer, sparsity: float, fraction: float, growth: Growth) -> None:
    """Drop `fraction` of the kept weights by whole groups, then regrow groups until `sparsity` is met again.

    A group that is dropped and regrown at once keeps its weights.
    """
    held, total, sizes = _held(trainer), trainer.budget.total, trainer.rank("magnitude")
    dropped = round(fraction * (1.0 - trainer.budget.sparsity(held)) * total)
    survivors = remove(trainer.budget, sizes, held, dropped, exact=False)
    growth_scores = {name: _growth_scores(trainer, weight, growth) for name, weight in trainer.weights.items()}
    # survivors rank above all others, so that one exact selection grows what is missing
    scores = {
        name: torch.where(kept, 1.0 + _below_one(sizes[name]), _below_one(growth_scores[name]))
        for name, kept in survivors.items()
    }
    mask = trainer.budget.select(scores, sparsity)
    trainer.apply_mask(mask)
    count = 0
    for name, weight in trainer.weights.items():
        new = mask[name] & ~held[name]
        fresh = nn.init.xavier_uniform_(torch.empty(weight.shape), generator=trainer.generator)
        weight[:, new] = fresh[:, new].to(weight)
        count += int(new.sum())
    trainer.log("regrown_groups", count)


def _below_one(scores: Tensor) -> Tensor:
    """The same order of scores from 0 up, in [0, 1)."""
    scores = scores.detach().double().cpu()
    return scores / (1.0 + scores)


def _growth_scores(trainer: Trainer, weight: nn.Parameter, growth: Growth) -> Tensor:
    """What a group is worth to regrow, [I]: a random number, or the root mean square of its gradient."""
    if growth == "random":
        return torch.rand(weight.shape[1], generator=trainer.generator)
    if weight.grad is None:
        return torch.zeros(weight.shape[1])
    return group_norms(weight.grad) / weight[:, 0].numel() ** 0.5


def random_mask(trainer: Trainer, densities: Densities) -> Mask:
    """Single weights kept at random, as many in each layer as its density says."""
    weights, target = trainer.weights, trainer.budget.target
    if target is None:
        raise UserError("sparse training needs a target: a natural budget has none")
    mask = {}
    for name, count in _counts(trainer.budget, {n: w.shape for n, w in weights.items()}, target, densities).items():
        order = torch.rand(weights[name].shape, generator=trainer.generator)
        mask[name] = _highest(order, count)
    return Mask(mask)


def _counts(budget: Budget, shapes: Shapes, target: float, densities: Densities) -> dict[str, int]:
    """Weights to keep in each layer, by its density, of which so many in all that their cost meets the target."""
    prices = {layer.name: budget.priced.of_entry(layer, layer.weights) for layer in budget.groups.layers}
    wanted = round((1.0 - target) * budget.total)

    def cost(kept: int) -> int:
        return sum(prices[name] * count for name, count in kept_weights(shapes, kept, densities).items())

    return kept_weights(shapes, bisect_left(range(budget.groups.weights + 1), wanted, key=cost), densities)


@torch.no_grad()
def rewire(trainer: Trainer, fraction: float, growth: Growth) -> None:
    """Drop `fraction` of each layer's kept weights, smallest first, and grow as many.

    What is dropped may grow back at once and then keeps its value (as in Evci et al.'s code); what grows starts
    from 0, where the mask has held it.
    """
    held, mask = _held(trainer), {}
    count = 0
    for name, weight in trainer.weights.items():
        kept = held[name].to(weight.device)
        size = int(kept.sum())
        dropped = int(fraction * size)
        survivors = _highest(weight.abs().where(kept, -torch.inf), size - dropped)
        if growth == "random":
            scores = torch.rand(weight.shape, generator=trainer.generator).to(weight.device)
        else:
            scores = torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
        mask[name] = survivors | _highest(scores.where(~survivors, -torch.inf), dropped)
        count += int((mask[name] & ~kept).sum())
    trainer.apply_mask(Mask(mask))
    trainer.log("grown_weights", count)


def _highest(scores: Tensor, count: int) -> Tensor:
    """Where the `count` highest scores are; ties go to the lower index."""
    chosen = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    chosen[torch.sort(scores.flatten(), descending=True, stable=True).indices[:count]] = True
    return chosen.view(scores.shape)


def _held(trainer: Trainer) -> Mask:
    if trainer.mask is None:
        raise ValueError("a mask must be applied before it can be updated")
    return trainer.mask
