"""Proximal operators with what learning their threshold needs: the penalty, scores and the derivative."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from msbench.api import AdaptiveProx, Stateful, group_norms, prox_euclidean, prox_l1

Penalty = Literal["group", "l1"]
Metric = Literal["euclidean", "adaptive"]
EPSILON = 1e-8
"""Of the optimizer, in d = sqrt(v) + ε."""


class Operator(Stateful, ABC):
    """The proximal operator of one penalty in one metric, over the layers that share a λ.

    Threshold is learning rate times λ; that of a group of n numbers is √n times it. A unit is what is removed as one:
    a group (tensors [I] a layer) or a single weight (tensors of the weight's shape).
    """

    def __init__(self, weights: Sequence[nn.Parameter], moment: Callable[[nn.Parameter], Tensor]) -> None:
        self.weights, self._moment = list(weights), moment

    @abstractmethod
    def scores(self) -> list[Tensor]:
        """The threshold at which each unit dies."""

    @abstractmethod
    def shrink(self, threshold: float) -> Tensor:
        """One proximal step, in place. Returns the penalty before it: Σ √n ‖w‖ over units."""

    @abstractmethod
    def slopes(self, weight: nn.Parameter, gradient: Tensor, threshold: float) -> Tensor:
        """<gradient, dw / dthreshold> for each unit, where w came out of `shrink(threshold)`; 0 for dead ones."""

    @abstractmethod
    def alive(self) -> list[Tensor]:
        """Which units are not zero now."""

    def _metric(self, weight: nn.Parameter) -> Tensor:
        """d, the diagonal of Adam's metric."""
        return self._moment(weight).sqrt().add_(EPSILON)


class GroupEuclidean(Operator):
    """w max(0, 1 - t / ‖w‖): the paper's eq. 8."""

    def scores(self) -> list[Tensor]:
        return [group_norms(weight) / _root(weight) for weight in self.weights]

    def shrink(self, threshold: float) -> Tensor:
        return _weighted(self.weights, prox_euclidean(self.weights, threshold))

    def slopes(self, weight: nn.Parameter, gradient: Tensor, threshold: float) -> Tensor:
        norms = group_norms(weight)
        return -_root(weight) * torch.where(norms > 0, _fold(gradient * weight.detach()) / norms, 0)

    def alive(self) -> list[Tensor]:
        return [group_norms(weight) > 0 for weight in self.weights]


class GroupAdaptive(GroupEuclidean):
    """argmin ½ (z - x)ᵀ D (z - x) + t ‖z‖ in Adam's metric (Deleu and Bengio, 2021)."""

    changes = ("_prox",)

    def __init__(self, weights: Sequence[nn.Parameter], moment: Callable[[nn.Parameter], Tensor]) -> None:
        super().__init__(weights, moment)
        self._prox = AdaptiveProx(EPSILON)

    def scores(self) -> list[Tensor]:
        return [group_norms(w.detach() * self._metric(w)) / _root(w) for w in self.weights]

    def shrink(self, threshold: float) -> Tensor:
        moments = [self._moment(weight) for weight in self.weights]
        return _weighted(self.weights, self._prox(self.weights, moments, threshold))

    def slopes(self, weight: nn.Parameter, gradient: Tensor, threshold: float) -> Tensor:
        # From D (z - x) + t z / θ = 0, θ = ‖z‖: with e = z / θ and u = e / (d + t / θ), Sherman and Morrison give
        # dz/dt = -u / (1 - t / θ <e, u>)
        norms = group_norms(weight)
        pull = torch.where(norms > 0, threshold * _root(weight) / norms, 0)
        e = weight.detach() / wide(torch.where(norms > 0, norms, 1), weight)
        u = e / (self._metric(weight) + wide(pull, weight))
        return -_root(weight) * _fold(gradient * u) / (1 - pull * _fold(e * u))


class ElementEuclidean(Operator):
    """sign(w) max(0, |w| - t), every weight by itself."""

    def scores(self) -> list[Tensor]:
        return [weight.detach().abs() for weight in self.weights]

    def shrink(self, threshold: float) -> Tensor:
        penalty = _magnitudes(self.weights)
        prox_l1(self.weights, threshold)
        return penalty

    def slopes(self, weight: nn.Parameter, gradient: Tensor, threshold: float) -> Tensor:
        return -gradient * weight.detach().sign()

    def alive(self) -> list[Tensor]:
        return [weight.detach() != 0 for weight in self.weights]


class ElementAdaptive(ElementEuclidean):
    """sign(w) max(0, |w| - t / d), every weight by itself in Adam's metric."""

    def scores(self) -> list[Tensor]:
        return [weight.detach().abs() * self._metric(weight) for weight in self.weights]

    @torch.no_grad()
    def shrink(self, threshold: float) -> Tensor:
        penalty = _magnitudes(self.weights)
        for weight in self.weights:
            t = threshold / self._metric(weight)
            weight.sub_(torch.clamp(weight, -t, t))
        return penalty

    def slopes(self, weight: nn.Parameter, gradient: Tensor, threshold: float) -> Tensor:
        return -gradient * weight.detach().sign() / self._metric(weight)


OPERATORS: dict[tuple[Penalty, Metric], type[Operator]] = {
    ("group", "euclidean"): GroupEuclidean,
    ("group", "adaptive"): GroupAdaptive,
    ("l1", "euclidean"): ElementEuclidean,
    ("l1", "adaptive"): ElementAdaptive,
}


def _root(weight: Tensor) -> float:
    """√n of a group."""
    return math.sqrt(weight.numel() / weight.shape[1])


def _fold(values: Tensor) -> Tensor:
    """Sum over each group of a weight's shape: [I]."""
    return values.sum(dim=[d for d in range(values.ndim) if d != 1])


def wide(units: Tensor, weight: Tensor) -> Tensor:
    """What groups [I] or single weights have, broadcastable against the weight."""
    return units.view(1, -1, *([1] * (weight.ndim - 2))) if units.ndim == 1 else units


def _weighted(weights: Sequence[Tensor], norms: Sequence[Tensor]) -> Tensor:
    """Σ √n ‖w‖."""
    return torch.stack([_root(weight) * norm.sum() for weight, norm in zip(weights, norms, strict=True)]).sum()


@torch.no_grad()
def _magnitudes(weights: Sequence[Tensor]) -> Tensor:
    """Σ |w|."""
    return torch.stack([weight.abs().sum() for weight in weights]).sum()
