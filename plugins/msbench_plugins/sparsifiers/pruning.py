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

from msbench.api import Budget, GroupLayer, Groups, Mask, Trainer, UserError

Init = Literal["dense", "random"]
"""The weights that pruning starts from: trained dense for a share of the allowance, or the initial ones."""
ROOM = 4
"""Groups of the largest size between a step on the way and the target: the exact step needs some to choose from."""


def train_dense(trainer: Trainer, init: Init, dense_share: float) -> None:
    """The dense stage, where there is one."""
    if init == "dense":
        trainer.train(share=dense_share)


class Pruning:
    """Removes more and more of a network by one criterion. What is removed stays removed.

    A criterion that follows the weights ranks afresh each time; a random one ranks once. A saved mask says nothing of
    the order within what it removes, or of what to remove beyond it: the smallest magnitude goes first.
    """

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
        more = round((sparsity - gone) * budget.groups.weights)
        exact = sparsity >= self.target
        if not exact:
            largest = max(layer.weights // self.kept[layer.name].numel() for layer in budget.groups.layers)
            more = min(more, round((self.target - gone) * budget.groups.weights) - ROOM * largest)
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
        weights = round((1.0 - budget.sparsity(doomed)) * budget.groups.weights)
        if more >= weights:
            return remove(budget, sizes, spared, more - weights, exact)
        waiting = remove(budget, sizes, doomed, more, exact, may_empty=doomed)
        return Mask({name: kept | waiting[name] for name, kept in spared.items()})


def everything(trainer: Trainer, structured: bool) -> Mask:
    """The mask that removes nothing."""
    weights = trainer.weights
    return Mask({n: torch.ones(w.shape[1] if structured else w.shape, dtype=torch.bool) for n, w in weights.items()})


def remove(
    budget: Budget,
    scores: Mapping[str, Tensor],
    among: Mask,
    weights: int,
    exact: bool = True,
    may_empty: Container[str] = (),
) -> Mask:
    """What of `among` stays when about `weights` weights of it go, lowest scores first.

    exact: come as near as granularity allows, by the budget's own selection among these groups alone (over all groups
    its exchanges could bring back one that is not in `among`). Otherwise a plain cut, never beyond the number: a step
    on the way must not use up the small groups, which the last one needs to be exact.
    may_empty: layers that may go whole; of any other the best group stays.
    """
    free = {}
    for name, inside in among.items():
        free[name] = inside.clone()
        if inside.any() and name not in may_empty:
            ranked = scores[name].detach().double().cpu().where(inside, -torch.inf)
            free[name].view(-1)[int(ranked.argmax())] = False
    layers = [layer for layer in budget.groups.layers if free[layer.name].any()]
    if not layers or weights <= 0:
        return among
    part = Groups(tuple(GroupLayer(x.name, int(free[x.name].sum()), x.weights // free[x.name].numel()) for x in layers))
    found = {layer.name: scores[layer.name].detach().cpu()[free[layer.name]] for layer in layers}
    if exact:
        chosen = Budget("share", budget.scope, part, None).select(found, min(1.0, weights / part.weights), floor=0)
    else:
        chosen = _cut(part, found, weights)
    stays = {name: inside.clone() for name, inside in among.items()}
    for name, kept in chosen.items():
        stays[name][free[name]] = kept
    return Mask(stays)


def _cut(groups: Groups, scores: Mapping[str, Tensor], weights: int) -> Mask:
    """Without the lowest scores that together have at most `weights` weights; ties go by layer order and index."""
    order = torch.sort(torch.cat([scores[layer.name].double() for layer in groups.layers]), stable=True).indices
    sizes = torch.cat([torch.full((layer.count,), layer.size) for layer in groups.layers])
    kept = torch.ones(len(sizes), dtype=torch.bool)
    kept[order[sizes[order].cumsum(0) <= weights]] = False
    parts = kept.split([layer.count for layer in groups.layers])
    return Mask(dict(zip((layer.name for layer in groups.layers), parts, strict=True)))
