"""Soft thresholds: the weights that the network uses, as a function of the trained weights and of θ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import Stateful, Trainer, UserError, View, Weights, group_norms

ThresholdGroup = Literal["single", "two", "component", "layer"]
Unit = Literal["threshold", "layer", "paper"]

PAPER_UNIT = 100.0
"""Units of α in root mean squares of the weights: the paper's α = sigmoid(θ) meets weights drawn from N(0, 0.01)."""
START_RATIO = 0.025
"""First α over the root mean square of the weights: it zeroes 2 % of normally distributed ones."""
START_SHARE, LARGEST_START_SHARE = 0.02, 0.05
"""Share of zeros at the start: what the default θ allows at most, and what a given θ may have at most."""


class SoftThresholds(View, Stateful):
    """S(W, α) = sign(W) relu(|W| - α), α = unit * sigmoid(θ): θ is shared by the layers of a threshold group.

    theta: [thresholds], trained. names: of the thresholds. index: of each layer's threshold. unit: of α, [layers].
    Structured: W_c relu(1 - α / r_c) for each input channel c, where r_c is the root mean square of its weights.
    """

    changes = ("theta",)

    def __init__(
        self, trainer: Trainer, group: ThresholdGroup, unit: Unit, structured: bool, start: float | None
    ) -> None:
        self.groups, self.structured = trainer.groups, structured
        self._weights = trainer.weights
        labels = [threshold_name(layer.name, group) for layer in self.groups.layers]
        self.names = list(dict.fromkeys(labels))
        positions = [self.names.index(label) for label in labels]
        first = next(iter(self._weights.values()))
        self.index = torch.tensor(positions, device=first.device)
        self.unit = first.new_tensor(_units(list(self._weights.values()), positions, unit))
        values = [self._first(number) if start is None else start for number in range(len(self.names))]
        self.theta = first.new_tensor(values).requires_grad_()
        self.sizes = self._per_threshold([float(layer.weights) for layer in self.groups.layers])
        zeros = sum(self.zeros()) / self.groups.weights
        if start is not None and zeros >= LARGEST_START_SHARE:
            raise UserError(f"sparsifier.theta_start: {start} zeroes {zeros:.0%} of the weights at once; give less")

    def weights(self, parameters: Weights) -> Weights:
        """S(W, α) for every layer of the groups; differentiable in W and θ."""
        alphas = self.alphas()
        # all numbers in one transfer: on a GPU each would wait for the device
        values = alphas.tolist()
        used = dict(parameters)
        for layer, alpha, value in zip(self.groups.layers, alphas.unbind(), values, strict=True):
            weight = parameters[f"{layer.name}.weight"]
            if self.structured:
                used[f"{layer.name}.weight"] = group_soft_threshold(weight, alpha)
            else:
                used[f"{layer.name}.weight"] = _SoftThreshold.apply(weight, alpha, value)
        return used

    def alphas(self, theta: Tensor | None = None) -> Tensor:
        """α of each layer."""
        return self.unit * torch.sigmoid(self.theta if theta is None else theta)[self.index]

    @torch.no_grad()
    def zeros(self, theta: Tensor | None = None) -> list[float]:
        """How many weights each threshold zeroes in S(W, α), which W itself does not show."""
        counts = []
        for layer, alpha in zip(self.groups.layers, self.alphas(theta), strict=True):
            size = self.magnitudes(layer.name)
            counts.append(int((size <= alpha).sum()) * (layer.weights // size.numel()))
        return self._per_threshold(counts)

    @torch.no_grad()
    def magnitudes(self, name: str) -> Tensor:
        """What a layer's threshold is compared with: |W|, or the root mean square of each input channel [I]."""
        weight = self._weights[name].detach()
        return group_norms(weight) / math.sqrt(weight[:, 0].numel()) if self.structured else weight.abs()

    def _first(self, number: int) -> float:
        """θ at the start: nearly nothing is zero, whatever the weights' distribution and the unit are."""
        layers = [position for position, threshold in enumerate(self.index.tolist()) if threshold == number]
        weights = [self._weights[self.groups.layers[position].name].detach() for position in layers]
        sizes = torch.cat([w.abs().flatten() / u for w, u in zip(weights, self.unit[layers], strict=True)])
        rank = max(1, round(START_SHARE * sizes.numel()))
        alpha = min(START_RATIO * float(sizes.square().mean().sqrt()), float(sizes.kthvalue(rank).values))
        return math.log(alpha / (1.0 - alpha)) if 0.0 < alpha < 1.0 else -math.log(1e6)

    def _per_threshold(self, counts: Sequence[float]) -> list[float]:
        sums = [0.0] * len(self.names)
        for number, count in zip(self.index.tolist(), counts, strict=True):
            sums[number] += count
        return sums


class _SoftThreshold(torch.autograd.Function):
    """sign(W) relu(|W| - α). With B = |W| > α: dL/dW = B * dL/dS and dL/dα = -sum(B * sign(W) * dL/dS)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, alpha: Tensor, value: float) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.value, ctx.alpha_type = value, alpha.dtype
        return F.softshrink(weight, value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (weight,) = ctx.saved_tensors
        masked: Tensor = torch.ops.aten.softshrink_backward(gradients[0], weight, ctx.value)
        return masked, -torch.sum(weight.sign().mul_(masked)).to(ctx.alpha_type), None


def group_soft_threshold(weight: Tensor, alpha: Tensor) -> Tensor:
    """W_c relu(1 - α / r_c) for each input channel c, r_c the root mean square of its weights."""
    others = [dimension for dimension in range(weight.ndim) if dimension != 1]
    size = torch.linalg.vector_norm(weight, dim=others, keepdim=True) / math.sqrt(weight[:, 0].numel())
    return weight * torch.relu(1.0 - alpha / size.clamp_min(1e-12))


def threshold_name(layer: str, group: ThresholdGroup) -> str:
    """Which threshold a layer has: `backbone` or its task's name by component."""
    part, _, rest = layer.partition(".")
    if group == "single":
        return "all"
    if group == "layer":
        return layer
    if group == "two" or part == "backbone":
        return part
    return rest.partition(".")[0]


def _units(weights: Sequence[nn.Parameter], positions: Sequence[int], unit: Unit) -> list[float]:
    """The unit of α for each layer: 1, or so many root mean squares of the layer or of all its threshold covers."""
    if unit == "paper":
        return [1.0] * len(weights)
    keys = list(range(len(weights))) if unit == "layer" else list(positions)
    squares, counts = dict.fromkeys(keys, 0.0), dict.fromkeys(keys, 0)
    for key, weight in zip(keys, weights, strict=True):
        squares[key] += float(weight.detach().double().square().sum())
        counts[key] += weight.numel()
    # a layer that starts at zero still gets a unit, so that its threshold can grow
    return [PAPER_UNIT * max(math.sqrt(squares[key] / counts[key]), 1e-6) for key in keys]


def budget_shares(zeros: Sequence[float], sizes: Sequence[float], capacity: float) -> list[float]:
    """How many weights each threshold group loses: in proportion to its zeros now, none more than it has."""
    # one zero more, so that a group without any can still give when the others have nothing left
    zeros = [count + 1.0 for count in zeros]
    low, high = 0.0, max(size / count for size, count in zip(sizes, zeros, strict=True))
    for _ in range(100):
        factor = (low + high) / 2
        taken = sum(min(size, factor * count) for size, count in zip(sizes, zeros, strict=True))
        low, high = (factor, high) if taken < capacity else (low, factor)
    return [min(size, high * count) for size, count in zip(sizes, zeros, strict=True)]


def scores_with_shares(
    magnitudes: Sequence[Tensor], index: Sequence[int], weights: Sequence[int], shares: Sequence[float]
) -> list[Tensor]:
    """Scores whose global ranking removes `shares[g]` weights from group g, the smallest magnitudes first.

    A score is the number of weights of the group up to and with this one, less the group's share: negative ones go.
    index, weights: each layer's group and number of weights.
    """
    scores = [torch.empty(0)] * len(magnitudes)
    for number, share in enumerate(shares):
        layers = [position for position, group in enumerate(index) if group == number]
        flat = torch.cat([magnitudes[p].detach().double().cpu().flatten() for p in layers])
        counts = torch.tensor([magnitudes[p].numel() for p in layers])
        size = (torch.tensor([weights[p] for p in layers]).double() / counts).repeat_interleave(counts)
        order = flat.argsort(stable=True)
        score = torch.empty_like(flat)
        score[order] = size[order].cumsum(0) - size[order] / 2 - share
        for position, part in zip(layers, score.split(counts.tolist()), strict=True):
            scores[position] = part.view(magnitudes[position].shape)
    return scores
