"""The rules of sizes: shapes and what is computed from them."""

from __future__ import annotations

import functools
import operator
from typing import Any

from torch import Tensor, fx

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.rules import Demand, Known, Rule


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
