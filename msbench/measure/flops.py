"""Multiply-adds, and the speed-up that the meta-sparsity papers read off them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from msbench.sparsity.groups import Groups, Scope
from msbench.sparsity.mask import Mask


def multiply_adds(model: nn.Module, example: Tensor) -> int:
    """Multiply-adds of the convolutions and matrix products of one forward on `example` [B, 3, H, W], in
    eval mode.

    The second forward is counted: a compact network computes what depends on the image's size alone in the
    first.
    """
    counter = FlopCounterMode(display=False)
    with evaluating(model), torch.no_grad():
        model(example)
        with counter:
            model(example)
    return counter.get_total_flops() // 2


def theoretical_speedup(model: nn.Module, mask: Mask, example: Tensor, scope: Scope = "backbone") -> float:
    """All FLOPs / FLOPs left, when each masked input channel (or element) is dropped from its own layer only.

    The meta-sparsity papers' ratio, over the convolution and linear layers of `scope`; theirs is the
    backbone. It counts what the weights that are zero would have cost, not what removing them makes of other
    layers. Infinite when nothing is left.
    """
    costs = layer_multiply_adds(model, example)
    layers = Groups.of(model, scope).layers
    total = sum(costs.get(layer.name, 0) for layer in layers)
    shares = {name: float(kept.double().mean()) for name, kept in mask.items()}
    left = sum(costs.get(layer.name, 0) * shares.get(layer.name, 1.0) for layer in layers)
    return total / left if left else float("inf")


def layer_multiply_adds(model: nn.Module, example: Tensor) -> dict[str, int]:
    """Multiply-adds of each convolution and linear layer in one forward, by hooks; biases are free."""
    costs: dict[str, int] = {}
    handles = []
    for layer in Groups.of(model, "model").layers:

        def count(module: Any, _: Any, output: Tensor, name: str = layer.name) -> None:
            outputs_per_filter = output.numel()
            costs[name] = costs.get(name, 0) + outputs_per_filter * module.weight[0].numel()

        handles.append(model.get_submodule(layer.name).register_forward_hook(count))
    try:
        with evaluating(model), torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    return costs


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, each module put back afterwards as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
