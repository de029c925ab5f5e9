"""Budget: the sparsity that a run must reach, and the exact selection that reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from msbench.sparsity.costs import Costs, Unit
from msbench.sparsity.filling import TableFilling, close, fill
from msbench.sparsity.groups import Groups, Scope
from msbench.sparsity.mask import Mask

BudgetMode = Literal["matched", "share", "natural"]
STRUCTURED_TOLERANCE = 0.005
UNSTRUCTURED_TOLERANCE = 0.001


@dataclass(frozen=True)
class Budget:
    """Target sparsity over `groups` as a share of their cost; `target` is None when the method finds its own.

    costs: what the layers cost in the budget's unit; None: weights, each of which costs 1.
    """

    mode: BudgetMode
    scope: Scope
    groups: Groups
    target: float | None
    costs: Costs | None = None

    @cached_property
    def priced(self) -> Costs:
        """What the layers cost in the budget's unit."""
        return self.costs if self.costs is not None else Costs.of_weights(self.groups)

    @property
    def unit(self) -> Unit:
        """What is counted: weights, multiply-adds, or picoseconds of predicted latency."""
        return self.priced.unit

    @property
    def total(self) -> int:
        """The cost of everything in the budget's unit: the denominator of sparsity."""
        return self.priced.total

    @property
    def natural(self) -> bool:
        """Whether the method is free to end at any sparsity."""
        return self.target is None

    def select(
        self, scores: Mapping[str, Tensor], sparsity: float | None = None, floor: int = 1, exact: bool = True
    ) -> Mask:
        """The mask that keeps what scores highest and meets the target as closely as granularity allows.

        Cuts by score, lowest first, while the cut fits; then goes on with any smaller group that still fits. What
        is still missing is closed by exchanging one removed group for a larger one, the worst-scored of its size,
        and by going over by one group where that is nearer. Ties go by layer order and index. `floor` groups a
        layer are always kept. Under a latency table "smaller" is what saves less time now.

        scores: per layer [I] (whole input channels) or the weight's shape (single elements); higher is kept.
        sparsity: a target other than the budget's, for methods that reach it in several rounds.
        exact: False for the plain cut, which never goes beyond the target. Raises UserError where single weights
        are scored under a unit that does not price them.
        """
        target = self.target if sparsity is None else sparsity
        if target is None:
            raise ValueError("a natural budget has no target to select for")
        flat, owner, protected = self._flatten(scores, floor)
        order = np.argsort(flat, kind="stable")
        order = order[~protected[order]]
        capacity = round(target * self.total)
        kept = np.ones(len(flat), dtype=bool)
        if self.priced.linear:
            sizes = self._sizes(scores)[owner]
            drop = _drop(sizes, order, capacity, exact)
        else:
            filling = TableFilling(owner[order], [self.priced.layers[x.name] for x in self.groups.layers], capacity)
            drop = filling.fill() if exact else filling.cut()
        kept[order[drop]] = False
        return self._unflatten(kept, scores)

    def _flatten(self, scores: Mapping[str, Tensor], floor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All scores, the position of the layer of each, and what the floor keeps."""
        flat, owner, protected = [], [], []
        for position, layer in enumerate(self.groups.layers):
            if layer.name not in scores:
                raise ValueError(f"no scores for layer {layer.name!r}")
            score = scores[layer.name].detach().double().cpu().flatten().numpy()
            if len(score) not in (layer.count, layer.weights):
                raise ValueError(f"scores of {layer.name!r}: expected {layer.count}, got {len(score)}")
            if np.isnan(score).any():
                raise ValueError(f"scores of {layer.name!r}: not a number")
            self.priced.of_entry(layer, len(score))
            flat.append(score)
            owner.append(np.full(len(score), position, dtype=np.int32))
            safe = np.zeros(len(score), dtype=bool)
            if floor == 1:
                safe[score.argmax()] = True
            elif floor > 1:
                safe[np.argsort(-score, kind="stable")[:floor]] = True
            protected.append(safe)
        return np.concatenate(flat), np.concatenate(owner), np.concatenate(protected)

    def _sizes(self, scores: Mapping[str, Tensor]) -> np.ndarray:
        """The price of one score of each layer."""
        return np.array([self.priced.of_entry(x, scores[x.name].numel()) for x in self.groups.layers], dtype=np.int64)

    def _unflatten(self, kept: np.ndarray, scores: Mapping[str, Tensor]) -> Mask:
        mask, start = {}, 0
        for layer in self.groups.layers:
            shape = scores[layer.name].shape
            length = scores[layer.name].numel()
            mask[layer.name] = torch.from_numpy(kept[start : start + length].copy()).view(shape)
            start += length
        return Mask(mask)

    def cost(self, mask: Mask) -> int:
        """What is left under `mask`, in the budget's unit."""
        return self.priced.of_mask(self.groups, mask)

    def sparsity(self, mask: Mask) -> float:
        """Share of the scope's cost that `mask` removes."""
        return (self.total - self.cost(mask)) / self.total

    def largest(self, entries: Mapping[str, Tensor]) -> int:
        """The most that removing one entry can save; entries: a score or boolean for each, by layer."""
        if self.priced.linear:
            return max(self.priced.of_entry(layer, entries[layer.name].numel()) for layer in self.groups.layers)
        return max(int(np.diff(cost).max()) for cost in self.priced.layers.values())

    def part(self, present: Mask, free: Mapping[str, Tensor]) -> Budget:
        """A budget over the `free` entries alone, of what is `present`; its scores have one value for each [count].

        Its total is what removing all of them saves. free: booleans by layer, of the mask's shape.
        """
        groups, costs = self.priced.part(self.groups, present, free)
        return replace(self, mode="share", groups=groups, target=None, costs=costs)

    def tolerance(self, structured: bool) -> float:
        """How far from the target a run may end: 0.5 percentage points structured, 0.1 unstructured."""
        return STRUCTURED_TOLERANCE if structured else UNSTRUCTURED_TOLERANCE


def _drop(sizes: np.ndarray, order: np.ndarray, capacity: int, exact: bool) -> np.ndarray:
    """Which positions of `order` go, where every entry has a size of its own."""
    ordered = sizes[order]
    if not exact:
        drop: np.ndarray = np.cumsum(ordered) <= capacity
        return drop
    if sizes.min() == sizes.max():  # millions of single weights: every cut is exact
        return np.arange(len(order)) < round(capacity / max(int(sizes[0]), 1))
    return close(ordered, fill(ordered, capacity), capacity)
