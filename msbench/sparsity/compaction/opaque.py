"""The rule of whatever no other rule is sure about."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder, out_of_place
from msbench.sparsity.compaction.facts import Facts, Kind
from msbench.sparsity.compaction.rules import Demand, Known, Rule


class Opaque(Rule):
    """Anything else: reads every channel, and every channel of its output depends on the image. Always right.

    output: facts of the output, None if it is not a tensor with channels. reason: for the report.
    """

    def __init__(
        self,
        node: fx.Node,
        target: nn.Module | Tensor | None,
        output: Facts | None,
        reason: str = "",
    ) -> None:
        super().__init__(node)
        self.target, self.output, self.reason = target, output, reason

    def facts(self, known: Known) -> Facts | None:
        return self.output

    def demand(self, live: Tensor, known: Known) -> Demand:
        for source in self.node.all_input_nodes:
            facts = known[source]
            if facts is not None:
                yield source, torch.ones_like(facts.computed)

    def least(self, live: Tensor, known: Known) -> Demand:
        """What it would read if it treated each channel by itself; nothing where its input has others."""
        for source, channels in self.demand(live, known):
            yield source, live if len(live) == len(channels) else torch.zeros_like(channels)

    def emit(self, live: Tensor, builder: Builder) -> None:
        def whole(source: fx.Node) -> Any:
            facts = builder.facts[source]
            if facts is None:
                return builder.plain(source, static=False)
            return builder.materialize(source, torch.ones_like(facts.computed), grid=True, batch=True)

        args: Any = fx.node.map_arg(self.node.args, whole)
        kwargs: Any = fx.node.map_arg(dict(self.node.kwargs), whole)
        result = self._issue(args, kwargs, builder)
        if self.output is None:
            builder.put_plain(self.node, result, static=False)
        else:
            builder.put(self.node, Kind.DYNAMIC, self.output.computed, result)
            builder.put_ones(self.node, builder.ones_like_node(result, self.output))

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
