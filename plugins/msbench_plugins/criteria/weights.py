"""Criteria that look at the weights only. They see no data and spend nothing of the allowance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from msbench.api import Criterion, Trainer, group_norms


@dataclass
class Magnitude(Criterion):
    """Norm of a group's weights, made comparable between groups of different sizes.

    Across layers: the L2 norm is divided by the square root of the group's size and the L1 norm by its size, so that
    the score is a typical absolute weight and large groups do not win by their size.

    norm: 2 for the root mean square, 1 for the mean absolute weight (Li et al., ICLR 2017).
    """

    name: ClassVar[str] = "magnitude"
    paper: ClassVar[str] = "Janowsky. Pruning versus clipping in neural networks. Physical Review A 39, 1989"
    norm: Literal[1, 2] = 2

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        sizes = {layer.name: layer.size for layer in trainer.groups.layers}
        if self.norm == 1:
            return {name: columns(weight).abs().mean(1) for name, weight in trainer.weights.items()}
        return {name: group_norms(w.detach()) / sizes[name] ** 0.5 for name, w in trainer.weights.items()}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: weight.detach().abs() for name, weight in trainer.weights.items()}


@dataclass
class Random(Criterion):
    """A uniform random ranking, from the trainer's generator. Scores of all layers are drawn alike."""

    name: ClassVar[str] = "random"
    fixed: ClassVar[bool] = True

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer.name: torch.rand(layer.count, generator=trainer.generator) for layer in trainer.groups.layers}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: torch.rand(w.shape, generator=trainer.generator) for name, w in trainer.weights.items()}


@dataclass
class Lamp(Criterion):
    """Layer-adaptive magnitude: squared magnitude over that of everything in the layer that is at least as large.

    A group takes the place of the paper's single weight, with its squared L2 norm. Across layers: comparable by
    construction, since the score is the share of the layer's surviving energy that goes with the group; the largest
    one of every layer scores 1, so no layer is emptied before all others are.
    """

    name: ClassVar[str] = "lamp"
    paper: ClassVar[str] = (
        "Lee, Park, Mo, Ahn and Shin. Layer-adaptive sparsity for the magnitude-based pruning. ICLR 2021"
    )

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: _lamp(columns(weight).double().square().sum(1)) for name, weight in trainer.weights.items()}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: _lamp(weight.detach().double().square()) for name, weight in trainer.weights.items()}


@dataclass
class GeometricMedian(Criterion):
    """FPGM: mean distance to the layer's other groups. What is near all others can be replaced by them.

    The paper compares output filters; here the compared vectors are the input channels `weight[:, c]`. Distances are
    Euclidean and between the weights themselves, as in the paper (torch-pruning measures between |w|^p). Groups that
    are zero already score 0 and are nobody's neighbours.

    Across layers: the sum of distances is divided by the number of neighbours and by the square root of the group's
    size; it is then a typical difference between two weights, as `magnitude` is a typical weight.
    """

    name: ClassVar[str] = "fpgm"
    paper: ClassVar[str] = (
        "He, Liu, Wang, Hu and Yang. Filter pruning via geometric median for deep convolutional neural networks "
        "acceleration. CVPR 2019"
    )

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: _mean_distances(columns(weight).double()) for name, weight in trainer.weights.items()}


def columns(weight: Tensor) -> Tensor:
    """A weight [O, I, ...] as one row a group: [I, O * ...]."""
    return weight.detach().transpose(0, 1).flatten(1)


def alive(weight: Tensor) -> Tensor:
    """Which groups have any weight that is not zero: [I]."""
    return columns(weight).ne(0).any(1)


def _lamp(squares: Tensor) -> Tensor:
    """Each entry over the sum of the entries that are sorted at or after it; zeros stay zero."""
    ordered, order = squares.flatten().sort(stable=True)
    remaining = ordered.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(ordered)
    scores[order] = ordered / remaining.clamp_min(torch.finfo(ordered.dtype).tiny)
    return scores.view(squares.shape)


def _mean_distances(groups: Tensor) -> Tensor:
    """Mean distance of each non-zero row to the other non-zero rows, per square root of their length."""
    scores = groups.new_zeros(len(groups))
    living = groups.ne(0).any(1)
    vectors = groups[living]
    scores[living] = torch.cdist(vectors, vectors).sum(1) / (max(len(vectors) - 1, 1) * groups.shape[1] ** 0.5)
    return scores
