"""HRank: how much information a feature map carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from msbench.api import Criterion, Trainer
from msbench_plugins.criteria.sites import Layer, visit_inputs
from msbench_plugins.criteria.weights import alive


@dataclass
class HRank(Criterion):
    """Mean rank of the feature map that arrives at a channel: low-rank maps carry little.

    In eval mode. Across layers: the rank is divided by the largest that the map's size allows (the paper prunes each
    layer at a rate of its own and never compares layers). Ranks are whole numbers and small maps are often all of
    full rank, so ties are the rule; they are broken at random below the resolution of the mean, since ties left to the
    order of layers would empty the first ones. What has no map (linear layers after pooling) has rank 0 or 1. Groups
    that are zero already score 0.

    batches: training batches.
    images: images drawn from each batch; the paper finds that the mean hardly depends on how many there are.
    """

    name: ClassVar[str] = "hrank"
    paper: ClassVar[str] = (
        "Lin, Ji, Wang, Zhang, Zhang, Tian and Shao. HRank: Filter pruning using high-rank feature map. CVPR 2020"
    )
    batches: Annotated[int, Ge(1)] = 1
    images: Annotated[int, Ge(1)] = 8

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        scores = {layer.name: torch.zeros(layer.count, dtype=torch.float64) for layer in trainer.groups.layers}
        resolution = dict.fromkeys(scores, 0.0)

        def see(name: str, layer: Layer, x: Tensor) -> None:
            chosen = torch.randperm(len(x), generator=trainer.generator)[: self.images]
            found = maps(layer, x[chosen.to(x.device)])
            full = min(found.shape[2:])
            ranks = matrix_ranks(found).view(-1, len(scores[name]))  # convolution groups count as further maps
            scores[name] += ranks.double().mean(0).cpu() / (full * self.batches)
            resolution[name] = 1 / (len(ranks) * full * self.batches)

        visit_inputs(trainer, self.batches, see)
        for name, weight in trainer.weights.items():
            ties = torch.rand(len(scores[name]), generator=trainer.generator, dtype=torch.float64)
            scores[name] = (scores[name] + ties * resolution[name]) * alive(weight).cpu()
        return scores


def maps(layer: Layer, x: Tensor) -> Tensor:
    """A layer's input as one matrix a sample and channel, [B, I, rows, columns]; one column where it is no image."""
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, layer.in_features).transpose(1, 2).unsqueeze(-1)
    return x.unsqueeze(-1) if x.ndim == 3 else x.flatten(2, -2)


def matrix_ranks(matrices: Tensor) -> Tensor:
    """Rank of each matrix, by torch.linalg.matrix_rank's tolerance for float32.

    From the eigenvalues of the smaller Gram matrix in float64, which is much faster than singular values and, with
    the tolerance squared, exact to well below it.
    """
    rows, columns = matrices.shape[-2:]
    wide = matrices.double() if rows <= columns else matrices.double().transpose(-2, -1)
    eigenvalues = torch.linalg.eigvalsh(wide @ wide.transpose(-2, -1))
    tolerance = (max(rows, columns) * torch.finfo(torch.float32).eps) ** 2
    return (eigenvalues > tolerance * eigenvalues[..., -1:]).sum(-1)
