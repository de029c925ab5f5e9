"""What a network's layers cost in the unit of a budget: weights, multiply-adds, or predicted latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from torch import Tensor

from msbench.errors import UserError
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask

Unit = Literal["params", "macs", "latency"]
"""`params`: weights. `macs`: multiply-adds of the layers' own products. `latency`: time by a measured table."""


@dataclass(frozen=True)
class Costs:
    """Layer name to its cost by kept input channels, [count + 1] whole numbers that never fall; 0 with none kept.

    Each layer is priced by its own input channels alone: what removing them makes of other layers is not counted.
    table: digest of the latency table that the costs come from; empty for the other units.
    """

    unit: Unit
    layers: Mapping[str, np.ndarray]
    table: str = ""

    @classmethod
    def of_weights(cls, groups: Groups) -> Costs:
        """Every weight costs 1."""
        return cls("params", {x.name: np.arange(x.count + 1, dtype=np.int64) * x.size for x in groups.layers})

    @classmethod
    def of_multiply_adds(cls, groups: Groups, per_layer: Mapping[str, int]) -> Costs:
        """Every weight costs the number of places it is used at; per_layer: multiply-adds of each whole layer.

        A layer that does not run costs nothing.
        """
        steps = {x.name: per_layer.get(x.name, 0) // x.count for x in groups.layers}
        return cls("macs", {x.name: np.arange(x.count + 1, dtype=np.int64) * steps[x.name] for x in groups.layers})

    @property
    def linear(self) -> bool:
        """Whether every weight has a price of its own, so that single weights can be counted."""
        return self.unit != "latency"

    @cached_property
    def total(self) -> int:
        """The cost of everything."""
        return sum(int(cost[-1]) for cost in self.layers.values())

    def of_entry(self, layer: GroupLayer, entries: int) -> int:
        """The price of one of a layer's `entries` equal parts: its groups, or its weights."""
        if entries != layer.count:
            self._check_linear()
        return int(self.layers[layer.name][-1]) // entries

    def of_kept(self, layer: GroupLayer, kept: Tensor | None) -> int:
        """The cost of a layer of which `kept` stays: booleans [I] or of the weight's shape, None for all of it."""
        cost = self.layers[layer.name]
        if kept is None:
            return int(cost[-1])
        if kept.ndim == 1:
            return int(cost[int(kept.sum())])
        return self.of_entry(layer, kept.numel()) * int(kept.sum())

    def of_mask(self, groups: Groups, mask: Mask) -> int:
        """The cost of what `mask` keeps."""
        return sum(self.of_kept(layer, mask.get(layer.name)) for layer in groups.layers)

    def part(self, groups: Groups, present: Mask, free: Mapping[str, Tensor]) -> tuple[Groups, Costs]:
        """The `free` entries alone, of what is `present`: layers of as many groups, and what each number of them adds.

        free: layer name to booleans of the mask's shape, a part of what is present; layers without any are left out.
        """
        layers, costs = [], {}
        for layer in groups.layers:
            chosen = free[layer.name]
            count = int(chosen.sum())
            if not count:
                continue
            layers.append(GroupLayer(layer.name, count, layer.weights // chosen.numel()))
            if self.linear:
                costs[layer.name] = np.arange(count + 1, dtype=np.int64) * self.of_entry(layer, chosen.numel())
            else:
                fixed = int(present[layer.name].sum()) - count
                costs[layer.name] = self.layers[layer.name][fixed : fixed + count + 1] - self.layers[layer.name][fixed]
        return Groups(tuple(layers)), Costs(self.unit, costs, self.table)

    def least(self, floor: int = 1) -> int:
        """The cost of a network of which every layer keeps `floor` groups."""
        return sum(int(cost[min(floor, len(cost) - 1)]) for cost in self.layers.values())

    def _check_linear(self) -> None:
        if not self.linear:
            raise UserError(
                "budget.unit=latency: this method removes single weights, which makes no dense layer faster; "
                "use budget.unit=params or macs"
            )
