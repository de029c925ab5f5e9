"""The graph of the compact network while it grows: which channels of each old value it has, and where."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.facts import Facts, Kind, round_up


@dataclass(frozen=True)
class Part:
    """A node of the compact graph and the channels of the old value that it holds, in ascending order."""

    node: fx.Node
    channels: Tensor


@dataclass
class Builder:
    """Issues operations into `graph`; what they call collects in `attributes`, by dotted name.

    A node's meta["static"] tells that it depends on the image's size at most: its batch size is 1, and
    `hoist` has it computed once a size, unless meta["free"]: a size read off the image itself. Layers read a
    multiple of `round_to` channels where there are as many.
    """

    facts: Mapping[fx.Node, Facts | None]
    round_to: int = 1
    graph: fx.Graph = field(default_factory=fx.Graph)
    attributes: dict[str, nn.Module | Tensor] = field(default_factory=dict)
    _plain: dict[tuple[fx.Node, bool], Any] = field(default_factory=dict)
    _parts: dict[tuple[fx.Node, Kind], Part] = field(default_factory=dict)
    _selected: dict[tuple[fx.Node, bytes], fx.Node] = field(default_factory=dict)
    _ones: dict[fx.Node, fx.Node] = field(default_factory=dict)
    _sizes: dict[tuple[fx.Node, int], fx.Node] = field(default_factory=dict)

    def facts_of(self, old: fx.Node) -> Facts:
        """The facts of an old value that has channels."""
        facts = self.facts[old]
        assert facts is not None, old
        return facts

    # issuing operations

    def call(self, target: Callable[..., Any] | str, *args: Any, static: bool | None = None, **kwargs: Any) -> fx.Node:
        """A function, or the tensor method of that name; static by default when all its inputs are."""
        if isinstance(target, str):
            node = self.graph.call_method(target, args, kwargs)
        else:
            node = self.graph.call_function(target, args, kwargs)
        return self._mark(node, static)

    def module(self, name: str, module: nn.Module, *args: Any, static: bool | None = None, **kwargs: Any) -> fx.Node:
        """A call of `module`, kept under its old name where that is possible."""
        self.attributes[name] = module
        return self._mark(self.graph.call_module(name, args, kwargs), static)

    def buffer(self, value: Tensor, name: str = "") -> fx.Node:
        """A constant of the network."""
        name = name or f"constants.c{sum(name.startswith('constants.') for name in self.attributes)}"
        self.attributes[name] = value
        return self._mark(self.graph.get_attr(name), True)

    def output(self, values: Any) -> None:
        """Declare what the network returns; the last thing to issue."""
        self._mark(self.graph.output(values), False)

    def _mark(self, node: fx.Node, static: bool | None) -> fx.Node:
        inputs = node.all_input_nodes
        node.meta["static"] = all(source.meta["static"] for source in inputs) if static is None else static
        return node

    # values

    def image(self, name: str) -> fx.Node:
        """Declare the network's input; the first thing to issue."""
        return self._mark(self.graph.placeholder(name), False)

    def put(self, old: fx.Node, kind: Kind, channels: Tensor, node: fx.Node) -> None:
        """State that `node` holds these channels [C] of `old`, all of one kind."""
        self._parts[old, kind] = Part(node, channels)

    def select(self, old: fx.Node, kind: Kind, channels: Tensor) -> fx.Node:
        """Some of the channels of one kind; readers that ask for the same share the copy."""
        part, dim = self._parts[old, kind], self.facts_of(old).dim
        index = channels[part.channels].nonzero().flatten()
        if len(index) == int(part.channels.sum()):
            return part.node
        key = (part.node, index.numpy().tobytes())
        if key not in self._selected:
            first, count = int(index[0]), len(index)
            if int(index[-1]) - first + 1 == count:
                self._selected[key] = self.call(torch.narrow, part.node, dim, first, count)
            else:
                self._selected[key] = self.call(torch.index_select, part.node, dim, self.buffer(index))
        return self._selected[key]

    def widen(self, old: fx.Node, channels: Tensor) -> Tensor:
        """These dynamic channels [C] and others that exist, up to a multiple of `round_to`."""
        return round_up(channels, self._parts[old, Kind.DYNAMIC].channels, self.round_to)

    def materialize(self, old: fx.Node, channels: Tensor, *, grid: bool = False, batch: bool = False) -> fx.Node:
        """These channels of whatever kinds, as one tensor in ascending order of channel.

        grid: whether uniform channels must have their full spatial size; without, it may be 1. batch: whether
        what does not depend on the image must have the image's batch size; without, it may be 1.
        """
        facts = self.facts_of(old)
        asked = {kind: channels & facts.of(kind) for kind in Kind}
        pieces = [(kind, rows) for kind, rows in asked.items() if rows.any()]
        if len(pieces) == 1:
            return self._piece(old, *pieces[0], grid=grid, batch=batch)
        batch |= bool(asked[Kind.DYNAMIC].any())
        nodes = [self._piece(old, kind, rows, grid=True, batch=batch) for kind, rows in pieces]
        joined = self.call(torch.cat, nodes, dim=facts.dim)
        order = torch.cat([rows.nonzero().flatten() for _, rows in pieces]).argsort()
        return self.call(torch.index_select, joined, facts.dim, self.buffer(order))

    def _piece(self, old: fx.Node, kind: Kind, channels: Tensor, *, grid: bool, batch: bool) -> fx.Node:
        facts = self.facts_of(old)
        if kind is Kind.DYNAMIC:
            return self.select(old, kind, channels)
        if kind is Kind.UNIFORM:
            node = self.buffer(facts.column(facts.value[channels]))
            node = self.call(torch.mul, node, self.ones(old)) if grid else node
        else:
            node = self.select(old, kind, channels)
        return self.call("expand", node, self.batch(), *[-1] * (facts.ndim - 1)) if batch else node

    # sizes

    def put_plain(self, old: fx.Node, value: Any, *, static: bool) -> None:
        """State what stands for a value without channels: a size, a scalar."""
        self._plain[old, static] = value

    def plain(self, old: fx.Node, *, static: bool) -> Any:
        """What stands for a value without channels, for use by operations that are static or not.

        Static ones get sizes that do not hang on the image's pixels, the others sizes that cost nothing.
        """
        return self._plain.get((old, static), self._plain.get((old, False)))

    def batch(self) -> fx.Node:
        """The number of images; not static, so that maps are shared by all batch sizes."""
        image = self._image
        return self._size(image, 0, static=False)

    @property
    def _image(self) -> fx.Node:
        return next(iter(self.graph.nodes))

    def _size(self, node: fx.Node, dim: int, static: bool | None = None) -> fx.Node:
        if (node, dim) not in self._sizes:
            shape = self.call(getattr, node, "shape", static=True if node is self._image else None)
            size = self.call(operator.getitem, shape, dim, static=static)
            shape.meta["free"] = size.meta["free"] = node is self._image
            self._sizes[node, dim] = size
        return self._sizes[node, dim]

    def sizes(self, old: fx.Node, *, static: bool) -> tuple[Any, ...]:
        """The shape that `old` has in the masked network: nodes, and its number of channels as an integer.

        static: for use by static operations; else read off what exists of `old`, which costs nothing.
        """
        facts = self.facts_of(old)
        part = None if static else self._parts.get((old, Kind.DYNAMIC))
        carrier = self.ones(old) if part is None else part.node
        own = {0: self.batch, facts.dim: lambda: len(facts.kind)}
        return tuple(own[dim]() if dim in own else self._size(carrier, dim) for dim in range(facts.ndim))

    def ones(self, old: fx.Node) -> fx.Node:
        """Ones on the grid of `old`, batch and channels 1: carries its size where none of its channels may exist."""
        return self._ones[old]

    def put_ones(self, old: fx.Node, node: fx.Node) -> None:
        """State the grid of `old`."""
        self._ones[old] = node

    def ones_like_node(self, node: fx.Node, facts: Facts) -> fx.Node:
        """Ones on the grid of a node of the compact graph that has these facts."""
        sizes = [1 if dim in (0, facts.dim) else self._size(node, dim) for dim in range(facts.ndim)]
        return self.call("new_ones", node, sizes, static=True if node is self._image else None)

    def reissue(self, old: fx.Node, source: fx.Node, module: nn.Module | None) -> fx.Node:
        """The operation of `old` on another first argument."""
        static = source.meta["static"]
        args: Any = fx.node.map_arg(old.args[1:], lambda node: self.plain(node, static=static))
        kwargs: Any = fx.node.map_arg(dict(old.kwargs), lambda node: self.plain(node, static=static))
        if module is not None:
            return self.module(str(old.target), out_of_place(module), source, *args, **kwargs)
        target: Any = old.target
        return self.call(target, source, *args, **{k: v for k, v in kwargs.items() if k != "inplace"})


def out_of_place(module: nn.Module) -> nn.Module:
    """`module`, or a copy of it that leaves its input alone: others may read that in the compact network."""
    if getattr(module, "inplace", False):
        module = copy.copy(module)
        module.inplace = False  # type: ignore[assignment]
    return module
