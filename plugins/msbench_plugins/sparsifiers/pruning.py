"""What the pruning schedules share: the weights that they start from, and removal that is never undone.

The schedules and their criteria together make every row of Table 5 of the meta-sparsity paper (arXiv 2501.12115):

    one-shot, from dense weights          one_shot_magnitude | random | one_shot[criterion=mask:meta_sparsity]
    iterative, from dense weights         iterative_magnitude | iterative[criterion=mask:meta_sparsity]
    progressive, from initial weights     progressive[criterion=mask:iterative_magnitude] (or progressive_magnitude,
                                          which finds its own mask) | progressive[criterion=random]
                                          | progressive[criterion=mask:meta_sparsity]
    sparse training, initial weights      sparse_training[criterion=mask:one_shot_magnitude] | sparse_training
                                          | sparse_training[criterion=mask:meta_sparsity]
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Literal

import torch
from torch import Tensor

from msbench.api import Budget, Mask, Stateful, Trainer, UserError

Init = Literal["dense", "random"]
"""The weights that pruning starts from: trained dense for a share of the allowance, or the initial ones."""
ROOM = 4
"""Groups of the largest size between a step on the way and the target: the exact step needs some to choose from."""


def train_dense(trainer: Trainer, init: Init, dense_share: float) -> None:
    """The dense stage, where there is one."""
    if init == "dense":
        trainer.train(share=dense_share)


class Pruning(Stateful):
    """Removes more and more of a network by one criterion. What is removed stays removed.

    A criterion that follows the weights ranks afresh each time; a random one ranks once. A saved mask says nothing of
    the order within what it removes, or of what to remove beyond it: the smallest magnitude goes first.
    """

    changes = ("kept",)

    def __init__(self, trainer: Trainer, criterion: str, structured: bool) -> None:
        if trainer.budget.target is None:
            raise UserError("a pruning schedule needs a target: a natural budget has none")
        self.trainer, self.criterion, self.structured = trainer, criterion, structured
        self.target = trainer.budget.target
        self.kept = everything(trainer, structured)
        chosen = trainer.criterion(criterion)
        self._saved = chosen.name == "mask"
        self._fixed = trainer.rank(criterion, structured) if chosen.fixed else {}

    def reach(self, sparsity: float) -> None:
        """Remove the lowest-ranked of what is left until `sparsity` of the scope's weights are gone; hold the mask.

        At the target the selection is exact; below it a plain cut, which leaves some groups for the exact one.
        """
        budget, gone = self.trainer.budget, self.trainer.budget.sparsity(self.kept)
        more = round((sparsity - gone) * budget.total)
        exact = sparsity >= self.target
        if not exact:
            more = min(more, round((self.target - gone) * budget.total) - ROOM * budget.largest(self.kept))
        if more > 0 and self._saved:
            self.kept = self._towards_saved(more, exact)
        elif more > 0:
            scores = self._fixed or self.trainer.rank(self.criterion, self.structured)
            self.kept = remove(budget, scores, self.kept, more, exact)
        self.trainer.apply_mask(self.kept)

    def _towards_saved(self, more: int, exact: bool) -> Mask:
        """Only what the saved mask removes, whole layers too; then, where that is not enough, of what it keeps."""
        budget, sizes = self.trainer.budget, self.trainer.rank("magnitude", self.structured)
        spared = Mask({name: kept & self._fixed[name].bool() for name, kept in self.kept.items()})
        doomed = Mask({name: kept & ~spared[name] for name, kept in self.kept.items()})
        saved = budget.cost(self.kept) - budget.cost(spared)
        if more >= saved:
            return remove(budget, sizes, spared, more - saved, exact)
        waiting = remove(budget, sizes, doomed, more, exact, may_empty=doomed, present=self.kept)
        return Mask({name: kept | waiting[name] for name, kept in spared.items()})


def everything(trainer: Trainer, structured: bool) -> Mask:
    """The mask that removes nothing."""
    weights = trainer.weights
    return Mask({n: torch.ones(w.shape[1] if structured else w.shape, dtype=torch.bool) for n, w in weights.items()})


def remove(
    budget: Budget,
    scores: Mapping[str, Tensor],
    among: Mask,
    cost: int,
    exact: bool = True,
    may_empty: Container[str] = (),
    present: Mask | None = None,
) -> Mask:
    """What of `among` stays when about `cost` of it goes, in the budget's unit (weights), lowest scores first.

    exact: come as near as granularity allows, by the budget's own selection among these groups alone (over all groups
    its exchanges could bring back one that is not in `among`). Otherwise a plain cut, never beyond the number: a step
    on the way must not use up the small groups, which the last one needs to be exact.
    may_empty: layers that may go whole; of any other the best group stays. present: all that is there, where that is
    more than `among`.
    """
    free = {}
    for name, inside in among.items():
        free[name] = inside.clone()
        if inside.any() and name not in may_empty:
            ranked = scores[name].detach().double().cpu().where(inside, -torch.inf)
            free[name].view(-1)[int(ranked.argmax())] = False
    if cost <= 0 or not any(found.any() for found in free.values()):
        return among
    part = budget.part(among if present is None else present, free)
    found = {layer.name: scores[layer.name].detach().cpu()[free[layer.name]] for layer in part.groups.layers}
    chosen = part.select(found, min(1.0, cost / part.total) if part.total else 0.0, floor=0, exact=exact)
    stays = {name: inside.clone() for name, inside in among.items()}
    for name, kept in chosen.items():
        stays[name][free[name]] = kept
    return Mask(stays)
