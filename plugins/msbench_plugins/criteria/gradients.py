"""Criteria from first and second derivatives of the balanced loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from msbench.api import Criterion, Trainer
from msbench_plugins.criteria.weights import columns


@dataclass
class Gradient(Criterion):
    """SNIP's connection sensitivity |w dL/dw|, of the mean gradient; a group has the sum over its weights.

    The paper prunes single weights before training. Batch-norm uses batch statistics, as in training. Across layers:
    not normalised, since every score is a change of the same loss (the paper divides by the sum over the network,
    which changes no ranking).

    batches: training batches over which the gradient is averaged.
    """

    name: ClassVar[str] = "gradient"
    paper: ClassVar[str] = (
        "Lee, Ajanthan and Torr. SNIP: Single-shot network pruning based on connection sensitivity. ICLR 2019"
    )
    batches: Annotated[int, Ge(1)] = 1

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: columns(score).sum(1) for name, score in self.score_elements(trainer).items()}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        gradients = trainer.gradients(self.batches)
        return {name: (weight.detach() * gradients[name]).abs() for name, weight in trainer.weights.items()}


@dataclass
class Taylor(Criterion):
    """Squared first-order change of the loss when the whole group goes: (Σ w dL/dw)², averaged over batches.

    This is the paper's group form with one gate for all weights of a group (its Taylor-FO on gates), not the sum of
    single squares; a single weight has (w dL/dw)². Batch-norm uses batch statistics, as in training. Across layers:
    not normalised, since every score is a squared change of the same loss.

    batches: training batches over which the squares are averaged.
    """

    name: ClassVar[str] = "taylor"
    paper: ClassVar[str] = (
        "Molchanov, Mallya, Tyree, Frosio and Kautz. Importance estimation for neural network pruning. CVPR 2019"
    )
    batches: Annotated[int, Ge(1)] = 1

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return self._mean_squares(trainer, grouped=True)

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return self._mean_squares(trainer, grouped=False)

    def _mean_squares(self, trainer: Trainer, *, grouped: bool) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for _ in range(self.batches):
            gradients = trainer.gradients()
            for name, weight in trainer.weights.items():
                change = weight.detach() * gradients[name]
                square = (columns(change).sum(1) if grouped else change).square() / self.batches
                total[name] = total[name] + square if name in total else square
        return total


@dataclass
class HessianOBD(Criterion):
    """Optimal brain damage with the Hessian's diagonal: |Σ h w²| / 2 over the group, h estimated after Hutchinson.

    h = E[v ∘ Hv] with random signs v. The absolute value is taken after the sum over the group, so that the noise of
    the estimate averages out within it; where the network is not at a minimum, strong negative curvature counts as
    sensitivity too. Batch-norm uses batch statistics, as in training. Across layers: not normalised, since every
    score is a change of the same loss.

    batches: training batches over which the curvature is averaged.
    probes: sign vectors a batch; each sends the batch backward once more, which counts as spent.
    """

    name: ClassVar[str] = "obd_hessian"
    paper: ClassVar[str] = (
        "LeCun, Denker and Solla. Optimal brain damage. NIPS 1989; "
        "Bekas, Kokiopoulou and Saad. An estimator for the diagonal of a matrix. Applied Numerical Mathematics 57, 2007"
    )
    batches: Annotated[int, Ge(1)] = 1
    probes: Annotated[int, Ge(1)] = 1

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: columns(change).sum(1).abs() for name, change in self._changes(trainer).items()}

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {name: change.abs() for name, change in self._changes(trainer).items()}

    def _changes(self, trainer: Trainer) -> dict[str, Tensor]:
        diagonal = self.diagonal(trainer)
        return {name: diagonal[name] * weight.detach().square() / 2 for name, weight in trainer.weights.items()}

    def diagonal(self, trainer: Trainer) -> dict[str, Tensor]:
        """Estimate of the Hessian's diagonal, of each prunable weight's shape."""
        weights = trainer.weights
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        with trainer.scoring():
            for _ in range(self.batches):
                batch = trainer.next_batch()
                trainer.allowance.spend(len(batch) * self.probes)
                loss = trainer.balancer(trainer.losses(batch))
                gradients = _gradients(loss, weights, create_graph=True)
                for _ in range(self.probes):
                    signs = {name: _signs(weight, trainer.generator) for name, weight in weights.items()}
                    directional = torch.stack([(g * signs[name]).sum() for name, g in gradients.items()]).sum()
                    if directional.requires_grad:  # a loss that is linear in every weight has no curvature
                        for name, product in _gradients(directional, weights).items():
                            total[name] += signs[name] * product / (self.batches * self.probes)
        return {name: value.detach() for name, value in total.items()}


def _gradients(value: Tensor, weights: Mapping[str, Tensor], *, create_graph: bool = False) -> dict[str, Tensor]:
    """Gradients by layer, of the layers that `value` depends on; the graph is kept for further calls."""
    found = torch.autograd.grad(
        value, list(weights.values()), retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    return {name: gradient for name, gradient in zip(weights, found, strict=True) if gradient is not None}


def _signs(weight: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randint(2, weight.shape, generator=generator)
    return (2 * drawn - 1).to(weight)
