"""SynFlow: pruning before training, without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from msbench.api import Mask, Sparsifier, Trainer, UserError


@dataclass
class SynFlow(Sparsifier):
    """Iterative synaptic flow pruning: remove what carries least of the flow through |θ|, a little a round, then train.

    With R = 1ᵀ f(1; |θ|), the output of the network of absolute weights for an image of ones summed over all tasks, a
    weight's score is ∂R/∂θ ⊙ θ (eq. 4). Its sum is conserved from layer to layer, so that pruning a little at a time
    and scoring anew never cuts a whole layer off (theorem 3). After round k of n a share ρ^(k/n) of the weights is
    left, ρ being what the budget leaves (algorithm 1). Training data are not looked at.

    rounds: n; the paper takes 100.
    structured: whether whole groups are removed by the sum of their weights' scores, or single weights as in the paper.
    """

    name: ClassVar[str] = "synflow"
    paper: ClassVar[str] = (
        "Tanaka, Kunin, Yamins and Ganguli. Pruning neural networks without any data by iteratively conserving "
        "synaptic flow. NeurIPS 2020"
    )
    rounds: Annotated[int, Ge(1)] = 100
    structured: bool = False

    def sparsify(self, trainer: Trainer) -> None:
        if trainer.budget.target is None:
            raise UserError("synflow has no sparsity of its own: give a share, for example --budget 0.9")
        shape = trainer.train_samples.batch(torch.tensor([0])).image.shape
        ones = torch.ones(shape, dtype=torch.float64, device=trainer.device)
        left = 1 - trainer.budget.target

        for k in range(1, self.rounds + 1):
            flow = synaptic_flow(trainer.model, ones)
            scores = {layer: flow[f"{layer}.weight"] for layer in trainer.weights}
            if self.structured:
                scores = {layer: score.transpose(0, 1).flatten(1).sum(1) for layer, score in scores.items()}
            held(scores, trainer.mask)
            trainer.apply_mask(trainer.budget.select(scores, 1 - left ** (k / self.rounds)))

        trainer.train()

    def notes(self) -> list[str]:
        return ["the flow of all tasks together; batch-norm as in eval mode, as in the published code"]


def synaptic_flow(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """∂R/∂θ ⊙ θ of every parameter, of its shape; the model stays as it was.

    In float64, since R is a product over all layers; buffers (batch-norm's statistics) are made positive like weights.
    """
    positive = {
        name: value.detach().abs().double().requires_grad_(isinstance(value, nn.Parameter))
        for name, value in [*model.named_parameters(), *model.named_buffers()]
        if value.is_floating_point()
    }
    training = model.training
    model.eval()
    try:
        outputs: dict[str, Tensor] = torch.func.functional_call(model, positive, (image,))
    finally:
        model.train(training)
    flow = torch.stack([output.sum() for output in outputs.values()]).sum()
    weights = [name for name, value in positive.items() if value.requires_grad]
    gradients = torch.autograd.grad(flow, [positive[name] for name in weights], allow_unused=True)
    return {
        name: torch.zeros_like(positive[name]) if gradient is None else (gradient * positive[name]).detach()
        for name, gradient in zip(weights, gradients, strict=True)
    }


def held(scores: dict[str, Tensor], mask: Mask | None) -> None:
    """What earlier rounds removed ranks below everything else, in place: also below what carries no flow."""
    for layer in mask or {}:
        scores[layer] = scores[layer].masked_fill(~mask[layer].to(scores[layer].device), -1.0)
