"""Built-in criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msbench.api import Criterion, Trainer, group_norms, hookimpl


@dataclass
class Magnitude(Criterion):
    """Root mean square of a group's weights: its L2 norm, made comparable between groups of different sizes."""

    name: ClassVar[str] = "magnitude"
    paper: ClassVar[str] = "Janowsky. Pruning versus clipping in neural networks. Physical Review A 39, 1989"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        return {name: group_norms(w.detach()) / sizes[name] ** 0.5 for name, w in trainer.weights.items()}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: weight.detach().abs() for name, weight in trainer.weights.items()}


@dataclass
class Random(Criterion):
    """A uniform random ranking, from the trainer's generator."""

    name: ClassVar[str] = "random"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer.name: torch.rand(layer.count, generator=trainer.generator) for layer in trainer.groups.layers}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: torch.rand(w.shape, generator=trainer.generator) for name, w in trainer.weights.items()}


@dataclass
class SavedMask(Criterion):
    """What a finished run kept: 1, and what it removed: 0. `mask:RUN` is its short form.

    run: a run's id; `mask:NAME` with a sparsifier's name stands for its run of the same budget and seed.
    """

    name: ClassVar[str] = "mask"
    run: str = ""

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        mask = trainer.saved_mask(self.run)
        return {layer.name: mask.channels(layer.name, layer.count).float() for layer in trainer.groups.layers}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        mask = trainer.saved_mask(self.run)
        return {n: mask.expanded(n, w).expand_as(w).float() for n, w in trainer.weights.items() if n in mask}


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Magnitude, Random, SavedMask]
