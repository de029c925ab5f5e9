"""Regrowth of dead units, and what is remembered of them for settling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msbench.api import Stateful, Trainer
from msbench_plugins.sparsifiers.meta.operators import wide

Units = dict[str, Tensor]
"""By layer, something for each unit: [I] for groups, the weight's shape for single weights."""


@torch.no_grad()
def revive(trainer: Trainer, dead: Units, p: float) -> Units:
    """Give each dead unit, with probability p, fresh Xavier-uniform weights in place. Returns which."""
    revived = {}
    for name, weight in trainer.weights.items():
        chosen = dead[name].cpu() & (torch.rand(dead[name].shape, generator=trainer.generator) < p)
        positions = wide(chosen, weight).expand(weight.shape)
        bound = math.sqrt(6 / (weight[0].numel() + weight[:, 0].numel()))
        fresh = (2 * torch.rand(int(positions.sum()), generator=trainer.generator) - 1) * bound
        weight[positions.to(weight.device)] = fresh.to(weight.device, weight.dtype)
        revived[name] = chosen.to(weight.device)
    return revived


class LastAlive(Stateful):
    """When each unit last lived, and its weights then, before the proximal step: what a budget needs of the dead.

    A λ that is too strong leaves networks whose dead weights are nothing but an optimizer's last steps, or zero. Ranked
    by those alone, and brought back with them, a group would be chosen at random and start from nothing.
    """

    changes = ("weights", "index", "step")

    def __init__(self, trainer: Trainer, alive: Units) -> None:
        self._trainer = trainer
        self.weights = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
        self.index = 0
        self.step = {name: torch.zeros(units.shape, device=units.device) for name, units in alive.items()}

    @torch.no_grad()
    def note(self, index: int, alive: Units) -> None:
        """Between the optimizer's and the proximal step; alive: which units were before the optimizer's."""
        self.index = index
        for name, weight in self._trainer.weights.items():
            self.step[name].masked_fill_(alive[name], index)
            torch.where(wide(alive[name], weight), weight, self.weights[name], out=self.weights[name])

    def rank(self, scores: Units, alive: Units) -> Units:
        """The living by their scores (0 and more), below them the dead: by when they last lived, then by scores."""
        return {
            name: torch.where(alive[name], score, self.step[name] - (self.index + 1) + score / (1 + score))
            for name, score in scores.items()
        }
