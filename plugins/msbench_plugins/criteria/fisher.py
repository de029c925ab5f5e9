"""Optimal brain damage on channels with the Fisher information."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from msbench.api import Criterion, Trainer
from msbench_plugins.criteria.sites import Layer, grouped_output, grouped_weight, inference, taps
from msbench_plugins.criteria.weights import columns

See = Callable[[str, Layer, Tensor, Tensor], None]
"""Called with a layer's name, the layer, its input and the gradient of its output."""


@dataclass
class ChannelOBD(Criterion):
    """C-OBD of the EigenDamage paper: change of the loss ½ Σ F w² over a channel, F the Fisher information.

    `diagonal` is C-OBD itself, and what torch-pruning's OBDCImportance computes: F is the mean square of the samples'
    own gradients. `kronecker` is the paper's Kron-OBD: F = A ⊗ S with the second moments of the patches that the layer
    reads and of its output gradients, so that weights of a channel interact; ½ tr(Wᵀ S W A) over the channel's taps.
    The papers score output filters, this scores input channels with the same F.

    In eval mode, since samples have gradients of their own only where batch-norm does not mix them; so it ranks a
    trained network, whose running statistics have settled. Across layers: not normalised, since every score is a
    change of the same loss.

    fisher: diagonal or Kronecker-factored; only the diagonal one ranks single weights.
    batches: training batches over which F is averaged.
    """

    name: ClassVar[str] = "obd_c"
    paper: ClassVar[str] = (
        "Wang, Grosse, Fidler and Zhang. EigenDamage: Structured pruning in the Kronecker-factored eigenbasis. "
        "ICML 2019"
    )
    fisher: Literal["diagonal", "kronecker"] = "diagonal"
    batches: Annotated[int, Ge(1)] = 1

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        if self.fisher == "diagonal":
            return {name: columns(change).sum(1) for name, change in self.score_elements(trainer).items()}
        factors = _Factors(trainer)
        _visit_gradients(trainer, self.batches, factors.see)
        return factors.scores(self.batches)

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        if self.fisher == "kronecker":
            return super().score_elements(trainer)
        fisher = {name: torch.zeros_like(weight) for name, weight in trainer.weights.items()}

        def see(name: str, layer: Layer, x: Tensor, gradient: Tensor) -> None:
            fisher[name] += _mean_squares(layer, x, gradient) / self.batches

        _visit_gradients(trainer, self.batches, see)
        return {name: fisher[name] * weight.detach().square() / 2 for name, weight in trainer.weights.items()}


def _visit_gradients(trainer: Trainer, batches: int, see: See) -> None:
    """Send `batches` training batches forward and backward; `see` gets each layer's turn as the backward pass goes."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, name = inputs[0].detach(), names[layer]
        if output.requires_grad:
            output.register_hook(lambda gradient: see(name, layer, x, gradient.detach()))  # type: ignore[arg-type]

    names = {trainer.model.get_submodule(group.name): group.name for group in trainer.groups.layers}
    handles = [layer.register_forward_hook(hook) for layer in names]
    try:
        with inference(trainer):
            for _ in range(batches):
                trainer.backward(trainer.next_batch())
    finally:
        for handle in handles:
            handle.remove()


def _mean_squares(layer: Layer, x: Tensor, gradient: Tensor) -> Tensor:
    """Mean over the samples of the squared gradient of each sample's own loss, of the weight's shape.

    The batch's loss is a mean, so a sample's own loss is B times its part of it.
    """
    own = len(x) * grouped_output(layer, gradient)
    squares = [
        torch.einsum("bgop,bgcp->bgoc", own, view.flatten(3)).square().mean(0).flatten(0, 1) for view in taps(layer, x)
    ]
    return torch.stack(squares, -1).view(layer.weight.shape)


class _Factors:
    """Kronecker factors of each layer's Fisher information, channel by channel.

    patches: E Σ_p a aᵀ over the taps of one channel [G, C, K, K]; outputs: E g gᵀ per position [G, O / G, O / G].
    """

    def __init__(self, trainer: Trainer) -> None:
        self.model = trainer.model
        self.names = [group.name for group in trainer.groups.layers]
        self.patches: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}

    def see(self, name: str, layer: Layer, x: Tensor, gradient: Tensor) -> None:
        """Add one batch."""
        own = len(x) * grouped_output(layer, gradient)
        samples, positions = own.shape[0], own.shape[-1]
        outputs = torch.einsum("bgop,bgqp->goq", own, own) / (samples * positions)
        patches = torch.zeros((), device=x.device)
        views = taps(layer, x)
        for sample in range(samples):  # the taps of a whole batch side by side would be K inputs at once
            stacked = torch.stack([view[sample].flatten(2) for view in views], 2)
            patches = patches + torch.einsum("gckp,gclp->gckl", stacked, stacked) / samples
        self.outputs[name] = self.outputs.get(name, 0) + outputs
        self.patches[name] = self.patches.get(name, 0) + patches

    def scores(self, batches: int) -> dict[str, Tensor]:
        """½ tr(Wᵀ S W A) of each input channel, convolution groups added up; zeros for a layer that never ran."""
        scores = {}
        for name in self.names:
            layer: Layer = self.model.get_submodule(name)  # type: ignore[assignment]
            weight = grouped_weight(layer)
            if name not in self.patches:
                scores[name] = weight.new_zeros(weight.shape[2])
                continue
            curvature = torch.einsum("gock,goq,gqcl->gckl", weight, self.outputs[name] / batches, weight)
            scores[name] = (curvature * self.patches[name] / batches).sum((0, 2, 3)) / 2
        return scores
