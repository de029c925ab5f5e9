"""The rules of operations that only move channels: side by side, or to another dimension."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.facts import Facts
from msbench.sparsity.compaction.rules import COMPUTED, Demand, Known, Rule, facts_in


class Concat(Rule):
    """Values side by side along the channels."""

    def __init__(self, node: fx.Node, sources: Sequence[fx.Node]) -> None:
        super().__init__(node)
        self.sources = sources

    def facts(self, known: Known) -> Facts:
        operands = [facts_in(known, source) for source in self.sources]
        kind, value = (torch.cat([getattr(facts, name) for facts in operands]) for name in ("kind", "value"))
        return Facts(kind, value, operands[0].ndim, operands[0].dim)

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
                joined = (
                    nodes[0] if len(nodes) == 1 else builder.call(torch.cat, nodes, dim=builder.facts_of(self.node).dim)
                )
                builder.put(self.node, kind, rows, joined)
        builder.put_ones(self.node, builder.ones(self.sources[0]))


class Permute(Rule):
    """The dimensions in another order, the batch still first: "channels last" and back."""

    def __init__(self, node: fx.Node, source: fx.Node, order: Sequence[int]) -> None:
        super().__init__(node)
        self.source, self.order = source, tuple(order)

    def facts(self, known: Known) -> Facts:
        source = facts_in(known, self.source)
        return Facts(source.kind, source.value, source.ndim, self.order.index(source.dim))

    def demand(self, live: Tensor, known: Known) -> Demand:
        yield self.source, live

    def emit(self, live: Tensor, builder: Builder) -> None:
        for kind in COMPUTED:
            rows = live & builder.facts_of(self.node).of(kind)
            if rows.any():
                moved = builder.call(torch.permute, builder.select(self.source, kind, rows), self.order)
                builder.put(self.node, kind, rows, moved)
        builder.put_ones(self.node, builder.call(torch.permute, builder.ones(self.source), self.order))
