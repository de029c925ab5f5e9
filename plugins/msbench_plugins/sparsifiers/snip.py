"""SNIP: prune at initialisation by connection sensitivity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from msbench.api import Sparsifier, Trainer

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass
class Snip(Sparsifier):
    """Keep the weights that the loss is most sensitive to before any training, then train (Lee et al., 2019).

    The sensitivity of a weight is |dL/dm| = |w dL/dw|, with m = 1 a factor on the weight and L the balanced loss of
    all tasks, averaged over the batches. Backbone and heads are ranked alike, where heads are in the budget's scope.

    batches: training batches that the sensitivity is measured on; the paper takes one of about 100 samples.
    structured: whether whole groups are removed, with the sum of their weights' sensitivities, or single weights.
    redraw: measure it on weights drawn afresh (Xavier normal), not on the ones that training starts from.
    """

    name: ClassVar[str] = "snip"
    paper: ClassVar[str] = (
        "Lee, Ajanthan and Torr. SNIP: Single-shot network pruning based on connection sensitivity. ICLR 2019"
    )
    batches: Annotated[int, Ge(1)] = 8
    structured: bool = False
    redraw: bool = False

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(trainer.budget.select(self.sensitivity(trainer)))
        trainer.train()

    def sensitivity(self, trainer: Trainer) -> dict[str, Tensor]:
        """|w dL/dw| by layer, of the weight's shape, or [I] where structured."""
        with without_dropout(trainer), redrawn(trainer) if self.redraw else nullcontext():
            gradients = trainer.gradients(self.batches)
            found = {name: (weight.detach() * gradients[name]).abs() for name, weight in trainer.weights.items()}
        return {name: group_sums(score) for name, score in found.items()} if self.structured else found

    def notes(self) -> list[str]:
        drawn = (
            "weights drawn afresh, as in the authors' code" if self.redraw else "the weights that training starts from"
        )
        return [
            f"sensitivity of {drawn}, with batch statistics and without dropout",
            "weights only are ranked; the authors' code ranks biases as well",
        ]


@contextmanager
def without_dropout(trainer: Trainer) -> Iterator[None]:
    """The model's dropout layers pass everything on."""
    active = [module for module in trainer.model.modules() if isinstance(module, DROPOUTS) and module.training]
    for module in active:
        module.eval()
    try:
        yield
    finally:
        for module in active:
            module.train()


@contextmanager
def redrawn(trainer: Trainer) -> Iterator[None]:
    """Every convolution and linear layer of the model holds fresh Xavier-normal weights; afterwards its own again."""
    layers = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    weights = [module.weight for module in trainer.model.modules() if isinstance(module, layers)]
    own = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(nn.init.xavier_normal_(torch.empty(weight.shape), generator=trainer.generator))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, own, strict=True):
                weight.copy_(value)


def group_sums(scores: Tensor) -> Tensor:
    """Sum of the scores [O, I, ...] of each input channel: [I]."""
    return scores.transpose(0, 1).flatten(1).sum(1)
