"""Inner loops of meta-training and the outer gradients that they leave, as pure functions of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from msbench.training.view import Weights

Order = Literal["fomaml", "maml", "anil", "reptile"]
Loss = Callable[[Weights], Tensor]
"""The loss on the next batch at these weights: every call takes a batch of its own."""
HEADS = "heads."
"""Start of the names of the parameters that belong to single tasks."""


@dataclass(frozen=True)
class Inner:
    """`steps` SGD steps at `lr`.

    constrain: what of a step's gradients may act on the weights. adapts: whether the parameter of a name moves.
    """

    steps: int
    lr: float
    constrain: Callable[[Weights], Weights] = dict
    adapts: Callable[[str], bool] = lambda name: True

    def descend(self, weights: Weights, gradients: Weights) -> Weights:
        """One step; new tensors where a weight moves."""
        return {n: w - self.lr * gradients[n] if n in gradients else w for n, w in weights.items()}

    def moving(self, weights: Weights) -> Weights:
        """The weights that the inner loop adapts."""
        return {name: weight for name, weight in weights.items() if self.adapts(name)}


OuterGradient = Callable[[Loss, Weights, Weights, Inner], Weights]
"""(loss, start, extra, inner) to the gradients for the start and for `extra`, parameters that the inner loop leaves
as they are (the loss balancer's). Parameters that no loss touches have none. Each takes inner.steps + 1 batches."""


def fomaml(loss: Loss, start: Weights, extra: Weights, inner: Inner) -> Weights:
    """The query gradient at the adapted weights; that these depend on the start is left out (Finn et al., 2017)."""
    adapted = dict(start)
    for _ in range(inner.steps):
        leaves = _leaves(inner.moving(adapted))
        gradients = inner.constrain(_gradients(loss({**_detached(adapted), **leaves}), leaves))
        with torch.no_grad():
            adapted = inner.descend(adapted, gradients)
    leaves = _leaves(adapted)
    return _gradients(loss(leaves), {**leaves, **extra})


def maml(loss: Loss, start: Weights, extra: Weights, inner: Inner) -> Weights:
    """The derivative of the adapted query loss with respect to the start, through every inner step (Finn et al., 2017).

    It holds the graph of all inner steps, and `extra` gets the share that it has through them.
    """
    leaves = adapted = _leaves(start)
    for _ in range(inner.steps):
        gradients = _gradients(loss(adapted), inner.moving(adapted), create_graph=True)
        adapted = inner.descend(adapted, inner.constrain(gradients))
    return _gradients(loss(adapted), {**leaves, **extra})


def anil(loss: Loss, start: Weights, extra: Weights, inner: Inner) -> Weights:
    """FOMAML whose inner loop adapts the heads only (Raghu et al., 2020), first order."""
    return fomaml(loss, start, extra, replace(inner, adapts=lambda name: name.startswith(HEADS)))


def reptile(loss: Loss, start: Weights, extra: Weights, inner: Inner) -> Weights:
    """(start - adapted) / lr after inner.steps + 1 steps (Nichol et al., 2018): no query loss, so its batch trains too.

    With SGD this is the sum of the inner gradients, and is summed as such: the difference would lose digits.
    `extra` does not move in the inner loop; it gets the sum of its gradients over the same steps.
    """
    adapted = dict(start)
    total: Weights = {}
    for _ in range(inner.steps + 1):
        leaves = _leaves(adapted)
        found = _gradients(loss(leaves), {**leaves, **extra})
        steps = inner.constrain({name: g for name, g in found.items() if name in leaves})
        with torch.no_grad():
            adapted = inner.descend(adapted, steps)
            for name, g in {**found, **steps}.items():
                total[name] = total[name] + g if name in total else g
    return total


ORDERS: Mapping[Order, OuterGradient] = {"fomaml": fomaml, "maml": maml, "anil": anil, "reptile": reptile}


def _detached(weights: Weights) -> Weights:
    return {name: weight.detach() for name, weight in weights.items()}


def _leaves(weights: Weights) -> Weights:
    return {name: weight.detach().requires_grad_() for name, weight in weights.items()}


def _gradients(loss: Tensor, wanted: Weights, create_graph: bool = False) -> Weights:
    found = torch.autograd.grad(loss, list(wanted.values()), create_graph=create_graph, allow_unused=True)
    return {name: g for name, g in zip(wanted, found, strict=True) if g is not None}
