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


@dataclass
class Random(Criterion):
    """A uniform random ranking, from the trainer's generator."""

    name: ClassVar[str] = "random"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer.name: torch.rand(layer.count, generator=trainer.generator) for layer in trainer.groups.layers}


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [Magnitude, Random]
