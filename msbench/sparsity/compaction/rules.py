"""How operations treat channels. Each rule answers three questions about one operation, asked in this order:

facts: what is known of the output's channels, given the inputs' (asked forwards);
demand: which input channels are read, given that some output channels are (asked backwards);
emit: what to compute in the compact network (asked forwards).
"""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder, out_of_place
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
            return Facts(source.kind.clamp(max=Kind.MAP), torch.zeros_like(source.value), self.ndim)
        value = self.uniform(source.column(source.value.clone())).flatten()
        return Facts(source.kind, torch.where(source.computed, 0.0, value), self.ndim)

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
    """Sum, difference, product or quotient of two values of equal channels, or of a value and a number."""

    def __init__(
        self,
        node: fx.Node,
        function: Callable[[Any, Any], Any],
        operands: Sequence[fx.Node | float],
        ndim: int,
    ) -> None:
        super().__init__(node)
        self.function, self.operands, self.ndim = function, operands, ndim

    def facts(self, known: Known) -> Facts:
        operands = [facts_in(known, x) for x in self.operands if isinstance(x, fx.Node)]
        kind = torch.stack([facts.kind for facts in operands]).amin(0)
        values = [facts_in(known, x).value if isinstance(x, fx.Node) else x for x in self.operands]
        value = torch.where(kind == Kind.UNIFORM, self.function(*values), 0.0)
        return Facts(kind, value, self.ndim)

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
        operands = [builder.materialize(x, rows) if isinstance(x, fx.Node) else x for x in self.operands]
        return builder.call(self.function, *operands)


def _is_zero(operand: fx.Node | float, rows: Tensor, builder: Builder) -> bool:
    if not isinstance(operand, fx.Node):
        return operand == 0
    facts = builder.facts_of(operand)
    return not (facts.computed[rows].any() or facts.value[rows].any())


class Concat(Rule):
    """Values side by side along the channels."""

    def __init__(self, node: fx.Node, sources: Sequence[fx.Node]) -> None:
        super().__init__(node)
        self.sources = sources

    def facts(self, known: Known) -> Facts:
        operands = [facts_in(known, source) for source in self.sources]
        kind, value = (torch.cat([getattr(facts, name) for facts in operands]) for name in ("kind", "value"))
        return Facts(kind, value, operands[0].ndim)

    def demand(self, live: Tensor, known: Known) -> Demand:
        sizes = [len(facts_in(known, source).kind) for source in self.sources]
        yield from zip(self.sources, live.split(sizes), strict=True)

    def emit(self, live: Tensor, builder: Builder) -> None:
        for kind in COMPUTED:
            rows = live & builder.facts_of(self.node).of(kind)
            if rows.any():
                pieces = rows.split([len(builder.facts_of(source).kind) for source in self.sources])
                asked = [(source, piece) for source, piece in zip(self.sources, pieces, strict=True) if piece.any()]
                nodes = [builder.select(source, kind, piece) for source, piece in asked]
                joined = nodes[0] if len(nodes) == 1 else builder.call(torch.cat, nodes, dim=1)
                builder.put(self.node, kind, rows, joined)
        builder.put_ones(self.node, builder.ones(self.sources[0]))


class Size(Rule):
    """The shape of a value: that of the masked network, whatever is left of the value's channels."""

    def facts(self, known: Known) -> None:
        return None

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield from ()

    def emit(self, live: Tensor, builder: Builder) -> None:
        args: Any = self.node.args
        is_dim = self.node.target == "size" and len(args) > 1
        for static in (False, True):
            sizes = builder.sizes(args[0], static=static)
            builder.put_plain(self.node, sizes[args[1]] if is_dim else sizes, static=static)


class SizeArithmetic(Rule):
    """A Python operator on sizes, among them the choice of a dimension."""

    def facts(self, known: Known) -> None:
        return None

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield from ()

    def emit(self, live: Tensor, builder: Builder) -> None:
        target: Any = self.node.target
        for static in (False, True):
            args: Any = fx.node.map_arg(self.node.args, functools.partial(builder.plain, static=static))
            if target is operator.getitem and isinstance(args[0], tuple):
                builder.put_plain(self.node, args[0][args[1]], static=static)
            else:
                result = builder.call(target, *args)
                result.meta["free"] = all(source.meta.get("free") for source in result.all_input_nodes)
                builder.put_plain(self.node, result, static=static)


class Opaque(Rule):
    """Anything else: reads every channel, and every channel of its output depends on the image. Always right.

    shape: of the output on the example, None if it is not a tensor with channels. reason: for the report.
    """

    def __init__(
        self,
        node: fx.Node,
        target: nn.Module | Tensor | None,
        shape: tuple[int, ...] | None,
        reason: str = "",
    ) -> None:
        super().__init__(node)
        self.target, self.shape, self.reason = target, shape, reason

    def facts(self, known: Known) -> Facts | None:
        return None if self.shape is None else Facts.dynamic(self.shape[1], len(self.shape))

    def demand(self, live: Tensor, known: Known) -> Demand:
        for source in self.node.all_input_nodes:
            facts = known[source]
            if facts is not None:
                yield source, torch.ones_like(facts.computed)

    def emit(self, live: Tensor, builder: Builder) -> None:
        def whole(source: fx.Node) -> Any:
            facts = builder.facts[source]
            if facts is None:
                return builder.plain(source, static=False)
            return builder.materialize(source, torch.ones_like(facts.computed), grid=True, batch=True)

        args: Any = fx.node.map_arg(self.node.args, whole)
        kwargs: Any = fx.node.map_arg(dict(self.node.kwargs), whole)
        result = self._issue(args, kwargs, builder)
        if self.shape is None:
            builder.put_plain(self.node, result, static=False)
        else:
            builder.put(self.node, Kind.DYNAMIC, torch.ones(self.shape[1], dtype=torch.bool), result)
            builder.put_ones(self.node, builder.ones_like_node(result, len(self.shape)))

    def _issue(self, args: Any, kwargs: Any, builder: Builder) -> Any:
        name: Any = self.node.target
        if self.node.op == "placeholder":
            return builder.image(name)
        if self.node.op == "output":
            return builder.output(args[0])
        if isinstance(self.target, Tensor):
            return builder.buffer(self.target.detach(), name)
        if self.target is not None:
            return builder.module(name, out_of_place(self.target), *args, static=False, **kwargs)
        return builder.call(name, *args, static=False, **kwargs)
