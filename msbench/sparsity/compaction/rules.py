"""How operations treat channels. Each rule answers three questions about one operation, asked in this order:

facts: what is known of the output's channels, given the inputs' (asked forwards);
demand: which input channels are read, given that some output channels are (asked backwards);
emit: what to compute in the compact network (asked forwards).
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.facts import Facts, Kind

Known = Mapping[fx.Node, Facts | None]
Demand = Iterator[tuple[fx.Node, Tensor]]
COMPUTED = (Kind.DYNAMIC, Kind.MAP)


class Rule(ABC):
    """One operation of the traced network."""

    def __init__(self, node: fx.Node) -> None:
        self.node = node

    @abstractmethod
    def facts(self, known: Known) -> Facts | None:
        """The output's channels; None for an output that has none (a size, a scalar)."""

    @abstractmethod
    def demand(self, live: Tensor, known: Known) -> Demand:
        """Input values, and which of their channels [C] are read when `live` [C] of the output are."""

    @abstractmethod
    def emit(self, live: Tensor, builder: Builder) -> None:
        """Compute the channels `live` of the output that need computing, and state the output's grid."""


def facts_in(known: Known, node: fx.Node) -> Facts:
    """The facts of a value that has channels."""
    facts = known[node]
    assert facts is not None, node
    return facts


class Channelwise(Rule):
    """Treats every channel by itself and all alike: activations, pooling, interpolation, spatial means.

    uniform: what it makes of a uniform channel's number; None if a uniform channel may come out uneven.
    resizes: whether the output's grid differs from the input's.
    """

    def __init__(
        self,
        node: fx.Node,
        module: nn.Module | None,
        ndim: int,
        *,
        uniform: Callable[[Tensor], Tensor] | None,
        resizes: bool,
    ) -> None:
        super().__init__(node)
        self.source: fx.Node = node.args[0]  # type: ignore[assignment]
        self.module, self.ndim, self.uniform, self.resizes = module, ndim, uniform, resizes

    def facts(self, known: Known) -> Facts:
        source = facts_in(known, self.source)
        if self.uniform is None:
            return Facts(source.kind.clamp(max=Kind.MAP), torch.zeros_like(source.value), self.ndim, source.dim)
        value = self.uniform(source.column(source.value.clone())).flatten()
        return Facts(source.kind, torch.where(source.computed, 0.0, value), self.ndim, source.dim)

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield self.source, live

    def emit(self, live: Tensor, builder: Builder) -> None:
        for kind in COMPUTED:
            rows = live & builder.facts_of(self.node).of(kind)
            if rows.any():
                source = builder.materialize(self.source, rows, grid=self.uniform is None)
                builder.put(self.node, kind, rows, self.compute(source, rows, builder))
        ones = builder.ones(self.source)
        if self.resizes:
            ones = builder.call(torch.ones_like, builder.reissue(self.node, ones, self.module))
        builder.put_ones(self.node, ones)

    def compute(self, source: fx.Node, rows: Tensor, builder: Builder) -> fx.Node:
        """The operation on these channels."""
        return builder.reissue(self.node, source, self.module)


class Affine(Channelwise):
    """Batch-norm in eval mode that could not be folded into a convolution."""

    def __init__(self, node: fx.Node, module: nn.Module, ndim: int) -> None:
        super().__init__(node, module, ndim, uniform=module, resizes=False)

    def compute(self, source: fx.Node, rows: Tensor, builder: Builder) -> fx.Node:
        norm: Any = self.module
        small = nn.utils.skip_init(type(norm), int(rows.sum()), eps=norm.eps, affine=norm.affine)
        state = {k: v if v.ndim == 0 else v[rows] for k, v in norm.state_dict().items()}
        small.double().load_state_dict(state)
        suffix = "" if builder.facts_of(self.node).kind[rows][0] == Kind.DYNAMIC else "_map"
        return builder.module(f"{self.node.target}{suffix}", small.eval(), source)


class Binary(Rule):
    """Sum, difference, product or quotient of two values of equal channels, or of a value and a number, or of
    a value and numbers [C], one a channel (layer scale).

    A channel times one that is zero everywhere is zero everywhere.
    """

    def __init__(
        self,
        node: fx.Node,
        function: Callable[[Any, Any], Any],
        operands: Sequence[fx.Node | Tensor | float],
        ndim: int,
    ) -> None:
        super().__init__(node)
        self.function, self.operands, self.ndim = function, operands, ndim

    def facts(self, known: Known) -> Facts:
        operands = [facts_in(known, x) for x in self.operands if isinstance(x, fx.Node)]
        kind = torch.stack([facts.kind for facts in operands]).amin(0)
        values = [facts_in(known, x).value if isinstance(x, fx.Node) else x for x in self.operands]
        if self.function is operator.mul:
            kind[self._vanishes(known)] = Kind.UNIFORM
        value = torch.where(kind == Kind.UNIFORM, self.function(*values), 0.0)
        return Facts(kind, value, self.ndim, operands[0].dim)

    def _vanishes(self, known: Known) -> Tensor:
        zero = torch.zeros(1, dtype=torch.bool)
        for operand in self.operands:
            if isinstance(operand, fx.Node):
                facts = facts_in(known, operand)
                zero = zero | (facts.of(Kind.UNIFORM) & facts.value.eq(0))
            else:
                zero = zero | torch.as_tensor(operand).eq(0)
        return zero

    def demand(self, live: Tensor, known: Known) -> Demand:
        for operand in self.operands:
            if isinstance(operand, fx.Node):
                yield operand, live

    def emit(self, live: Tensor, builder: Builder) -> None:
        for kind in COMPUTED:
            rows = live & builder.facts_of(self.node).of(kind)
            if rows.any():
                builder.put(self.node, kind, rows, self._compute(rows, builder))
        grids = list(dict.fromkeys(builder.ones(x) for x in self.operands if isinstance(x, fx.Node)))
        builder.put_ones(self.node, grids[0] if len(grids) == 1 else builder.call(torch.mul, *grids))

    def _compute(self, rows: Tensor, builder: Builder) -> fx.Node:
        if self.function is operator.add:
            for operand, other in (self.operands, self.operands[::-1]):
                if isinstance(operand, fx.Node) and _is_zero(other, rows, builder):
                    return builder.materialize(operand, rows)
        return builder.call(self.function, *(self._operand(x, rows, builder) for x in self.operands))

    def _operand(self, operand: fx.Node | Tensor | float, rows: Tensor, builder: Builder) -> Any:
        if isinstance(operand, fx.Node):
            return builder.materialize(operand, rows)
        if isinstance(operand, Tensor):
            return builder.buffer(builder.facts_of(self.node).column(operand[rows]))
        return operand


def _is_zero(operand: fx.Node | Tensor | float, rows: Tensor, builder: Builder) -> bool:
    if isinstance(operand, Tensor):
        return not operand[rows].any()
    if not isinstance(operand, fx.Node):
        return operand == 0
    facts = builder.facts_of(operand)
    return not (facts.computed[rows].any() or facts.value[rows].any())
