"""The rule of convolutions and linear layers, where channels are born, dropped and turn constant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.facts import Facts, Kind
from msbench.sparsity.compaction.rules import COMPUTED, Demand, Known, Rule, facts_in

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


class Weighted(Rule):
    """A convolution of one group, or a linear layer on vectors: output o reads input i where weight[o, i] !=
    0.

    The output is a sum over inputs, so it splits by kind. What uniform inputs add is a number, folded into
    the bias; except under zero padding, where they act like one input channel of ones, and leave a border.
    """

    def __init__(self, node: fx.Node, module: Layer) -> None:
        super().__init__(node)
        self.source: fx.Node = node.args[0]  # type: ignore[assignment]
        self.module = module
        self.name = str(node.target)
        self.weight = module.weight.detach()
        self.nonzero = self.weight.ne(0).flatten(2).any(2) if self.weight.ndim > 2 else self.weight.ne(0)
        zeros = self.weight.new_zeros(len(self.weight))
        self.bias = zeros if module.bias is None else module.bias.detach()
        self.padded = pads_with_zeros(module)
        self.constant = zeros
        """What the uniform inputs add: a kernel [O, k...] if padded, else numbers [O]. Set by `facts`."""

    def facts(self, known: Known) -> Facts:
        source = facts_in(known, self.source)
        kernel = torch.tensordot(self.weight, source.value, dims=([1], [0]))
        self.constant = kernel if self.padded else kernel.reshape(len(kernel), -1).sum(1)
        kind = torch.full((len(kernel),), int(Kind.UNIFORM))
        uneven = self.nonzero[:, source.of(Kind.MAP)].any(1)
        if self.padded:
            uneven |= self._has_constant()
        kind[uneven] = Kind.MAP
        kind[self.nonzero[:, source.of(Kind.DYNAMIC)].any(1)] = Kind.DYNAMIC
        return Facts(kind, torch.where(kind == Kind.UNIFORM, self._shift(), 0.0), source.ndim)

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield self.source, self.nonzero[live & facts_in(known, self.node).computed].any(0)

    def emit(self, live: Tensor, builder: Builder) -> None:
        facts = builder.facts_of(self.node)
        for kind in COMPUTED:
            rows = live & facts.of(kind)
            if rows.any():
                compute = self._dynamic if kind is Kind.DYNAMIC else self._static
                builder.put(self.node, kind, rows, compute(rows, builder))
        builder.put_ones(self.node, self._grid(builder))

    def _dynamic(self, rows: Tensor, builder: Builder) -> fx.Node:
        """The part that depends on the image, plus the rest of these outputs' sum."""
        columns = builder.facts_of(self.source).of(Kind.DYNAMIC) & self.nonzero[rows].any(0)
        layer = like(self.module, self.weight[rows][:, columns], self._shift()[rows])
        result = builder.module(self.name, layer, builder.select(self.source, Kind.DYNAMIC, columns))
        if self._reads_maps(rows, builder):
            maps = self._static(rows, builder, bias=False)
            result = builder.call(torch.add, result, maps)
        return result

    def _static(self, rows: Tensor, builder: Builder, *, bias: bool = True) -> fx.Node:
        """The part that depends on the image's size only: maps, and uniform inputs through their border."""
        inputs, weights = [], []
        columns = builder.facts_of(self.source).of(Kind.MAP) & self.nonzero[rows].any(0)
        if columns.any():
            inputs.append(builder.select(self.source, Kind.MAP, columns))
            weights.append(self.weight[rows][:, columns])
        if self.padded and self._has_constant()[rows].any():
            inputs.append(builder.ones(self.source))
            weights.append(self.constant[rows].unsqueeze(1))
        joined = inputs[0] if len(inputs) == 1 else builder.call(torch.cat, inputs, dim=1)
        shift = self._shift()[rows]
        layer = like(self.module, torch.cat(weights, dim=1), shift if bias else torch.zeros_like(shift))
        return builder.module(f"{self.name}_map" if bias else f"{self.name}_border", layer, joined)

    def _reads_maps(self, rows: Tensor, builder: Builder) -> bool:
        maps = builder.facts_of(self.source).of(Kind.MAP) & self.nonzero[rows].any(0)
        return bool(maps.any() or (self.padded and self._has_constant()[rows].any()))

    def _shift(self) -> Tensor:
        return self.bias if self.padded else self.bias + self.constant

    def _has_constant(self) -> Tensor:
        return self.constant.flatten(1).ne(0).any(1)

    def _grid(self, builder: Builder) -> fx.Node:
        """Ones on the output's grid, by a convolution of ones with ones: right for every input size."""
        ones = builder.ones(self.source)
        if isinstance(self.module, nn.Linear) or _keeps_size(self.module):
            return ones
        kernel = builder.buffer(self.weight.new_ones(1, 1, *self.module.kernel_size))
        convolve: Any = (torch.conv1d, torch.conv2d, torch.conv3d)[self.weight.ndim - 3]
        conv = self.module
        moved = builder.call(convolve, ones, kernel, None, conv.stride, conv.padding, conv.dilation)
        return builder.call(torch.ones_like, moved)


def pads_with_zeros(module: Layer) -> bool:
    """Whether the layer sees zeros around its input, so that a uniform input gives an uneven output."""
    if isinstance(module, nn.Linear) or module.padding_mode != "zeros":
        return False
    if isinstance(module.padding, str):
        return module.padding == "same" and any(size > 1 for size in module.kernel_size)
    return any(size > 0 for size in module.padding)


def _keeps_size(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> bool:
    if isinstance(conv.padding, str):
        return conv.padding == "same"
    geometry = zip(conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True)
    return all(step == 1 and 2 * pad == dilation * (size - 1) for size, step, pad, dilation in geometry)


def like(module: Layer, weight: Tensor, bias: Tensor) -> nn.Module:
    """A layer like `module` with these weights [O, I, k...]; without a bias where that is all zero."""
    biased = bool(bias.any())
    if isinstance(module, nn.Linear):
        layer = nn.utils.skip_init(nn.Linear, weight.shape[1], len(weight), bias=biased)
    else:
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[weight.ndim - 3]
        geometry = {name: getattr(module, name) for name in ("stride", "padding", "dilation", "padding_mode")}
        sizes = (weight.shape[1], len(weight), module.kernel_size)
        layer = nn.utils.skip_init(kind, *sizes, bias=biased, **geometry)
    layer.weight = nn.Parameter(weight.clone())
    if biased:
        layer.bias = nn.Parameter(bias.clone())
    return layer
