"""The rule of convolutions and linear layers, where channels are born, dropped and turn constant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.facts import Facts, Kind
from msbench.sparsity.compaction.grouping import Block, cut
from msbench.sparsity.compaction.rules import COMPUTED, Demand, Known, Rule, facts_in

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Layer = Convolution | nn.Linear


class Weighted(Rule):
    """A convolution, grouped or not, or a linear layer: output o reads input i where a weight between them
    is not 0.

    The output is a sum over inputs, so it splits by kind. What uniform inputs add is a number, folded into
    the bias; except under zero padding, where they act like one input channel of ones, and leave a border.
    """

    def __init__(self, node: fx.Node, module: Layer) -> None:
        super().__init__(node)
        self.source: fx.Node = node.args[0]  # type: ignore[assignment]
        self.module = module
        self.name = str(node.target)
        self.groups = 1 if isinstance(module, nn.Linear) else module.groups
        self.weight = module.weight.detach()
        self.reads = _reads(self.weight, self.groups)
        zeros = self.weight.new_zeros(len(self.weight))
        self.bias = zeros if module.bias is None else module.bias.detach()
        self.padded = pads_with_zeros(module)
        self.constant = zeros
        """What the uniform inputs add: a kernel [O, k...] if padded, else numbers [O]. Set by `facts`."""

    def facts(self, known: Known) -> Facts:
        source = facts_in(known, self.source)
        weight = self.weight.unflatten(0, (self.groups, -1))
        kernel = torch.einsum("goi...,gi->go...", weight, source.value.unflatten(0, (self.groups, -1))).flatten(0, 1)
        self.constant = kernel if self.padded else kernel.reshape(len(kernel), -1).sum(1)
        kind = torch.full((len(kernel),), int(Kind.UNIFORM))
        uneven = self.reads[:, source.of(Kind.MAP)].any(1)
        if self.padded:
            uneven |= self._has_constant()
        kind[uneven] = Kind.MAP
        kind[self.reads[:, source.of(Kind.DYNAMIC)].any(1)] = Kind.DYNAMIC
        return Facts(kind, torch.where(kind == Kind.UNIFORM, self._shift(), 0.0), source.ndim, source.dim)

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield self.source, self.reads[live & facts_in(known, self.node).computed].any(0)

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
        columns = builder.facts_of(self.source).of(Kind.DYNAMIC) & self.reads[rows].any(0)
        if self.groups == 1:
            columns = builder.widen(self.source, columns)
        inputs = builder.select(self.source, Kind.DYNAMIC, columns)
        result = self._call(self.name, rows, columns, inputs, self._shift(), builder)
        if self._reads_maps(rows, builder).any() or self._borders(rows):
            result = builder.call(torch.add, result, self._static(rows, builder, biased=False))
        return result

    def _static(self, rows: Tensor, builder: Builder, *, biased: bool = True) -> fx.Node:
        """The part that depends on the image's size only: maps, and uniform inputs through their border."""
        shift = self._shift() if biased else torch.zeros_like(self.bias)
        parts = []
        columns = self._reads_maps(rows, builder)
        if columns.any():
            maps = builder.select(self.source, Kind.MAP, columns)
            parts.append(self._call(f"{self.name}_map", rows, columns, maps, shift, builder))
            shift = torch.zeros_like(shift)
        if self._borders(rows):
            layer = like(self.module, self.constant[rows].unsqueeze(1), shift[rows])
            parts.append(builder.module(f"{self.name}_border", layer, builder.ones(self.source)))
        return parts[0] if len(parts) == 1 else builder.call(torch.add, *parts)

    def _call(
        self, name: str, rows: Tensor, columns: Tensor, inputs: fx.Node, shift: Tensor, builder: Builder
    ) -> fx.Node:
        """The layer from these inputs to these outputs; `inputs` holds the columns in ascending order."""
        dim = builder.facts_of(self.node).dim
        block: Block = cut(self.weight, shift, rows, columns, self.groups)
        if block.inputs is not None:
            inputs = builder.call(torch.index_select, inputs, dim, builder.buffer(block.inputs))
        result = builder.module(name, like(self.module, block.weight, block.bias, block.groups), inputs)
        if block.outputs is not None:
            result = builder.call(torch.index_select, result, dim, builder.buffer(block.outputs))
        return result

    def _reads_maps(self, rows: Tensor, builder: Builder) -> Tensor:
        return builder.facts_of(self.source).of(Kind.MAP) & self.reads[rows].any(0)

    def _borders(self, rows: Tensor) -> bool:
        return self.padded and bool(self._has_constant()[rows].any())

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


def _reads(weight: Tensor, groups: int) -> Tensor:
    """Which inputs each output has a weight for: booleans [O, I], zero between groups."""
    nonzero = weight.ne(0).flatten(2).any(2) if weight.ndim > 2 else weight.ne(0)
    return torch.block_diag(*nonzero.chunk(groups)) if groups > 1 else nonzero


def pads_with_zeros(module: Layer) -> bool:
    """Whether the layer sees zeros around its input, so that a uniform input gives an uneven output."""
    if isinstance(module, nn.Linear) or module.padding_mode != "zeros":
        return False
    if isinstance(module.padding, str):
        return module.padding == "same" and any(size > 1 for size in module.kernel_size)
    return any(size > 0 for size in module.padding)


def _keeps_size(conv: Convolution) -> bool:
    if isinstance(conv.padding, str):
        return conv.padding == "same"
    geometry = zip(conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True)
    return all(step == 1 and 2 * pad == dilation * (size - 1) for size, step, pad, dilation in geometry)


def like(module: Layer, weight: Tensor, bias: Tensor, groups: int = 1) -> nn.Module:
    """A layer like `module` with these weights [O, I / groups, k...]; without a bias where that is all zero."""
    biased = bool(bias.any())
    inputs = weight.shape[1] * groups
    if isinstance(module, nn.Linear):
        layer = nn.utils.skip_init(nn.Linear, inputs, len(weight), bias=biased)
    else:
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[weight.ndim - 3]
        geometry = {name: getattr(module, name) for name in ("stride", "padding", "dilation", "padding_mode")}
        sizes = (inputs, len(weight), module.kernel_size)
        layer = nn.utils.skip_init(kind, *sizes, bias=biased, groups=groups, **geometry)
    layer.weight = nn.Parameter(weight.clone())
    if biased:
        layer.bias = nn.Parameter(bias.clone())
    return layer
