"""One layer by itself: as a torch-pruning group whose only member is its input channels, and with inputs of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from msbench.api import Trainer

Make = Callable[..., Trainer]
RAW = {"group_reduction": "sum", "normalizer": None}
"""torch-pruning's importances without their own normalisation."""


def judged(importance: Any, weight: Tensor, gradient: Tensor | None = None) -> Tensor:
    """torch-pruning's importance of the input channels of a convolution with this weight (and gradient): [I]."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], bias=False)
    conv.weight.data = weight.detach().clone()
    if gradient is not None:
        conv.weight.grad = gradient.detach().clone()
    example = torch.zeros(1, weight.shape[1], 8, 8)
    graph = tp.DependencyGraph().build_dependency(nn.Sequential(conv), example_inputs=example)
    group = graph.get_pruning_group(conv, tp.prune_conv_in_channels, idxs=list(range(weight.shape[1])))
    assert [dep.layer for dep, _ in group if list(dep.layer.parameters())] == [conv], "this layer only"
    return importance(group)


def inputs_in_eval(trainer: Trainer, image: Tensor) -> dict[str, Tensor]:
    """What arrives at each prunable layer in eval mode."""
    seen: dict[str, Tensor] = {}
    handles = []
    for group in trainer.groups.layers:
        module = trainer.model.get_submodule(group.name)
        handles.append(module.register_forward_hook(lambda m, args, y, name=group.name: seen.update({name: args[0]})))
    trainer.model.eval()
    with torch.no_grad():
        trainer.model(image)
    trainer.model.train()
    for handle in handles:
        handle.remove()
    return seen


def same_order(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.argsort(stable=True), second.argsort(stable=True))
