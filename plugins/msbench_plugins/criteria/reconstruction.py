"""Criteria that keep a layer's output: what is left of it when channels go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from msbench.api import Criterion, Trainer
from msbench_plugins.criteria.sites import Layer, contributions, visit_inputs
from msbench_plugins.criteria.weights import alive

PENALTIES = np.geomspace(1.0, 1e-3, 41)
"""The lasso's penalties, relative to the smallest that removes every channel."""
SWEEPS = 200
TOLERANCE = 0.01
"""Coordinate descent ends when the lasso's optimality conditions hold to this share of the penalty."""


@dataclass
class ThiNet(Criterion):
    """Greedy removal: always the channel whose loss, with all removed before, changes the layer's output least.

    The score is the squared error of the output when this channel and all removed before it are gone, as a share of
    the output's energy. It is estimated from output values drawn at random, without bias, as in the paper. Every
    layer is judged in the dense network, and the paper's least-squares rescaling of what is kept is left to
    fine-tuning. In eval mode. Across layers: the relative error is comparable, so one threshold on it sets every
    layer's rate, where the paper gives all layers the same rate. Groups that are zero already score 0.

    batches: training batches.
    values: output values drawn for each layer and batch.
    """

    name: ClassVar[str] = "thinet"
    paper: ClassVar[str] = (
        "Luo, Wu and Lin. ThiNet: A filter level pruning method for deep neural network compression. ICCV 2017"
    )
    batches: Annotated[int, Ge(1)] = 1
    values: Annotated[int, Ge(1)] = 4096

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        grams = contribution_grams(trainer, self.batches, self.values)
        living = {name: alive(weight).cpu() for name, weight in trainer.weights.items()}
        return {name: torch.from_numpy(greedy_errors(gram)) * living[name] for name, gram in grams.items()}


@dataclass
class ChannelPruning(Criterion):
    """Lasso over channels: ½ ‖y - Σ β_c z_c‖² + λ ‖β‖₁, z_c what channel c adds to the layer's output y.

    The larger the λ at which a channel's β leaves zero, the more it is needed. The score is the lasso's own relative
    error ‖y - Σ β z‖² / ‖y‖² at that λ, which rises with λ; between the λ of the grid it follows the correlation of
    the channel with the residual. Estimated from output values drawn at random. Every layer is judged in the dense
    network, and the paper's least-squares fit of the kept weights is left to fine-tuning. In eval mode. Across layers:
    the relative error is comparable, so one threshold on it sets every layer's rate, where the paper chooses rates by
    hand.

    batches: training batches.
    values: output values drawn for each layer and batch.
    """

    name: ClassVar[str] = "channel_pruning"
    paper: ClassVar[str] = "He, Zhang and Sun. Channel pruning for accelerating very deep neural networks. ICCV 2017"
    batches: Annotated[int, Ge(1)] = 1
    values: Annotated[int, Ge(1)] = 4096

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        grams = contribution_grams(trainer, self.batches, self.values)
        return {name: torch.from_numpy(lasso_errors(gram)) for name, gram in grams.items()}


def contribution_grams(trainer: Trainer, batches: int, values: int) -> dict[str, np.ndarray]:
    """ZᵀZ [C, C] per layer, Z what each channel adds to output values drawn at random; its sum is the energy yᵀy.

    Only these are held, never the activations.
    """
    grams = {
        layer.name: torch.zeros(layer.count, layer.count, dtype=torch.float64, device=trainer.device)
        for layer in trainer.groups.layers
    }

    def see(name: str, layer: Layer, x: Tensor) -> None:
        z = contributions(layer, x, values, trainer.generator).double()
        grams[name] += z.T @ z

    visit_inputs(trainer, batches, see)
    return {name: gram.cpu().numpy() for name, gram in grams.items()}


def greedy_errors(gram: np.ndarray) -> np.ndarray:
    """Relative error of the output after each channel's greedy removal: [C], strictly rising in order of removal.

    Where a removal undoes the error of earlier ones, the largest error so far stays.
    """
    scores = np.zeros(len(gram))
    energy = gram.sum()
    if not energy > 0:
        return scores
    # removing c as well adds |z_c|² + 2 z_c · Σ z over what is gone
    added = gram.diagonal().copy()
    error, highest = 0.0, 0.0
    for _ in range(len(gram)):
        chosen = int(added.argmin())
        error += added[chosen]
        highest = max(error / energy, float(np.nextafter(highest, np.inf)))
        scores[chosen] = highest
        added += 2 * gram[chosen]
        added[chosen] = np.inf
    return scores


def lasso_errors(gram: np.ndarray) -> np.ndarray:
    """Relative error of the lasso where each channel enters its path: [C], 1 first; from PENALTIES and linear between.

    Channels that no penalty of the grid lets in score below all others, in order of their last correlation.
    """
    target = gram.sum(1)
    energy, largest = target.sum(), np.abs(target).max()
    scores, entered = np.zeros(len(gram)), np.zeros(len(gram), dtype=bool)
    if not (energy > 0 and largest > 0):
        return scores
    beta, correlation = np.zeros(len(gram)), target.copy()
    last, error = largest, 1.0
    for penalty in largest * PENALTIES[1:]:
        nearness = np.clip(np.abs(correlation) / last, 0.0, 1.0)
        _descend(gram, beta, correlation, penalty)
        correlation = target - gram @ beta  # free of the rounding that updates pile up
        before, last = error, penalty
        error = min(max(0.0, (energy - target @ beta - correlation @ beta) / energy), before)
        new = (beta != 0) & ~entered
        scores[new] = error + (before - error) * nearness[new]
        entered |= new
        if entered.all():
            break
    scores[~entered] = error * np.clip(np.abs(correlation[~entered]) / last, 0.0, 1.0)
    return scores


def _descend(gram: np.ndarray, beta: np.ndarray, correlation: np.ndarray, penalty: float) -> None:
    """Coordinate descent on the active set, in place; correlation = Zᵀ(y - Zβ) is kept up to date."""
    diagonal = gram.diagonal()
    for _ in range(SWEEPS):
        excess = np.where(beta != 0, np.abs(correlation - penalty * np.sign(beta)), np.abs(correlation) - penalty)
        if excess.max() <= TOLERANCE * penalty:
            break
        for c in np.flatnonzero((beta != 0) | (excess > 0)):
            pull = correlation[c] + diagonal[c] * beta[c]
            wanted = np.sign(pull) * max(abs(pull) - penalty, 0.0) / diagonal[c]
            if wanted != beta[c]:
                correlation -= (wanted - beta[c]) * gram[c]
                beta[c] = wanted
