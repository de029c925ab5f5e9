"""A convolution or linear layer taken apart: a sum over its input channels and the taps of its kernel.

Shapes: B samples, G convolution groups (1 for most layers), C = I / G the channels that are pruned, K taps,
P positions of the output grid. A linear layer is a convolution with one tap over its leading dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import Trainer

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def grouped_weight(layer: Layer) -> Tensor:
    """The weight as [G, O / G, C, K]."""
    weight = layer.weight.detach().float()
    return weight.reshape(_groups(layer), -1, weight.shape[1], math.prod(weight.shape[2:]))


def taps(layer: Layer, x: Tensor) -> list[Tensor]:
    """For each tap of the kernel what it reads at every output position: views [B, G, C, *P], padding included."""
    x = x.detach().float()
    if isinstance(layer, nn.Linear):
        return [x.reshape(len(x), -1, layer.in_features).transpose(1, 2).unsqueeze(1)]
    padded = _padded(layer, x)
    dims = list(zip(padded.shape[2:], layer.kernel_size, layer.stride, layer.dilation, strict=True))
    counts = [(size - dilation * (kernel - 1) - 1) // stride + 1 for size, kernel, stride, dilation in dims]
    views = []
    for offsets in product(*(range(kernel) for kernel in layer.kernel_size)):
        view = padded
        for dim, (offset, count, (_, _, stride, dilation)) in enumerate(zip(offsets, counts, dims, strict=True), 2):
            view = view.narrow(dim, offset * dilation, stride * (count - 1) + 1)
            view = view[(slice(None),) * dim + (slice(None, None, stride),)]
        views.append(view.unflatten(1, (layer.groups, -1)))
    return views


def grouped_output(layer: Layer, y: Tensor) -> Tensor:
    """An output of the layer, or its gradient, as [B, G, O / G, P]."""
    y = y.detach().float()
    if isinstance(layer, nn.Linear):
        return y.reshape(len(y), -1, layer.out_features).transpose(1, 2).unsqueeze(1)
    return y.unflatten(1, (layer.groups, -1)).flatten(3)


def contributions(layer: Layer, x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """What each channel adds to `count` output values drawn at random, or to all where there are no more: [n, C].

    A row sums to the layer's output there, less its bias.
    """
    weight, views = grouped_weight(layer), taps(layer, x)
    batch, groups, _, *grid = views[0].shape
    sizes = (batch, groups, weight.shape[1], *grid)
    total = math.prod(sizes)
    drawn = torch.arange(total) if total <= count else torch.randint(total, (count,), generator=generator)
    b, g, o, *position = torch.unravel_index(drawn.to(x.device), sizes)
    summed = torch.zeros(len(drawn), weight.shape[2], device=x.device)
    for tap, view in enumerate(views):
        summed += view.movedim(2, -1)[(b, g, *position)] * weight[g, o, :, tap]
    return summed


def visit_inputs(trainer: Trainer, batches: int, see: Callable[[str, Layer, Tensor], None]) -> None:
    """Send `batches` training batches forward and show `see` the input of every prunable layer as it arrives.

    In eval mode: the network as it will be used, without dropout. Nothing is held beyond the call of `see`.
    """

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        see(names[layer], layer, inputs[0])  # type: ignore[arg-type]

    names = {trainer.model.get_submodule(group.name): group.name for group in trainer.groups.layers}
    handles = [layer.register_forward_pre_hook(hook) for layer in names]
    try:
        with inference(trainer), torch.no_grad():
            for _ in range(batches):
                trainer.losses(trainer.next_batch())
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inference(trainer: Trainer) -> Iterator[None]:
    """The model in eval mode; its modes, buffers and gradients are as before afterwards."""
    modes = [(module, module.training) for module in trainer.model.modules()]
    with trainer.scoring():
        trainer.model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def _padded(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    """What the kernel runs over."""
    if layer.padding_mode != "zeros":
        return F.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
    # not the list above: like the forward itself, follow a `padding` that was changed after construction
    if isinstance(layer.padding, str):
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        sides = [(total // 2, total - total // 2) if layer.padding == "same" else (0, 0) for total in totals]
    else:
        sides = [(width, width) for width in layer.padding]
    return F.pad(x, [width for side in reversed(sides) for width in side])


def _groups(layer: Layer) -> int:
    return 1 if isinstance(layer, nn.Linear) else layer.groups
