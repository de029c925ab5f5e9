"""Budget: the sparsity that a run must reach, and the exact selection that reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from msbench.sparsity.groups import Groups, Scope
from msbench.sparsity.mask import Mask

BudgetMode = Literal["matched", "share", "natural"]
STRUCTURED_TOLERANCE = 0.005
UNSTRUCTURED_TOLERANCE = 0.001


@dataclass(frozen=True)
class Budget:
    """Target sparsity over `groups` as a share of weights; `target` is None when the method finds its own."""

    mode: BudgetMode
    scope: Scope
    groups: Groups
    target: float | None

    @property
    def natural(self) -> bool:
        """Whether the method is free to end at any sparsity."""
        return self.target is None

    def select(self, scores: Mapping[str, Tensor], sparsity: float | None = None, floor: int = 1) -> Mask:
        """The mask that keeps what scores highest and meets the target as closely as granularity allows.

        Cuts by score, lowest first, while the cut fits; then goes on with any smaller group that still fits. What
        is still missing is closed by exchanging one removed group for a larger one, the worst-scored of its size,
        and by going over by one group where that is nearer. Ties go by layer order and index. `floor` groups a
        layer are always kept.

        scores: per layer [I] (whole input channels) or the weight's shape (single elements); higher is kept.
        sparsity: a target other than the budget's, for methods that reach it in several rounds.
        """
        target = self.target if sparsity is None else sparsity
        if target is None:
            raise ValueError("a natural budget has no target to select for")
        flat, sizes, protected = self._flatten(scores, floor)
        order = np.argsort(flat, kind="stable")
        order = order[~protected[order]]
        capacity = round(target * self.groups.weights)
        kept = np.ones(len(flat), dtype=bool)
        if sizes.min() == sizes.max():  # single weights: millions of them, and every cut is exact
            kept[order[: round(capacity / int(sizes[0]))]] = False
        else:
            drop = _close(sizes[order], _fill(sizes[order], capacity), capacity)
            kept[order[drop]] = False
        return self._unflatten(kept, scores)

    def _flatten(self, scores: Mapping[str, Tensor], floor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        flat, sizes, protected = [], [], []
        for layer in self.groups.layers:
            if layer.name not in scores:
                raise ValueError(f"no scores for layer {layer.name!r}")
            score = scores[layer.name].detach().double().cpu().flatten().numpy()
            if len(score) not in (layer.count, layer.weights):
                raise ValueError(f"scores of {layer.name!r}: expected {layer.count}, got {len(score)}")
            if np.isnan(score).any():
                raise ValueError(f"scores of {layer.name!r}: not a number")
            flat.append(score)
            sizes.append(np.full(len(score), layer.weights // len(score), dtype=np.int64))
            safe = np.zeros(len(score), dtype=bool)
            if floor == 1:
                safe[score.argmax()] = True
            elif floor > 1:
                safe[np.argsort(-score, kind="stable")[:floor]] = True
            protected.append(safe)
        return np.concatenate(flat), np.concatenate(sizes), np.concatenate(protected)

    def _unflatten(self, kept: np.ndarray, scores: Mapping[str, Tensor]) -> Mask:
        mask, start = {}, 0
        for layer in self.groups.layers:
            shape = scores[layer.name].shape
            length = scores[layer.name].numel()
            mask[layer.name] = torch.from_numpy(kept[start : start + length].copy()).view(shape)
            start += length
        return Mask(mask)

    def sparsity(self, mask: Mask) -> float:
        """Share of the scope's weights that `mask` removes."""
        removed = 0
        for layer in self.groups.layers:
            if layer.name in mask:
                kept = mask[layer.name]
                removed += int((~kept).sum()) * (layer.weights // kept.numel())
        return removed / self.groups.weights

    def tolerance(self, structured: bool) -> float:
        """How far from the target a run may end: 0.5 percentage points structured, 0.1 unstructured."""
        return STRUCTURED_TOLERANCE if structured else UNSTRUCTURED_TOLERANCE


def _fill(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Which of these sizes, in this order, are taken: a prefix that fits, then whatever still fits."""
    taken = np.cumsum(sizes) <= capacity
    prefix = int(taken.sum())
    room = capacity - int(sizes[:prefix].sum())
    for position in range(prefix, len(sizes)):
        if sizes[position] <= room:
            taken[position] = True
            room -= int(sizes[position])
            if room == 0:
                break
    return taken


def _close(sizes: np.ndarray, taken: np.ndarray, capacity: int) -> np.ndarray:
    """Bring what is taken nearer to the capacity: exchange, then overshoot by one where that is nearer.

    sizes are in order of score, lowest first. Each exchange gives back the best-scored taken group of one size for
    the worst-scored free group of a larger size, and closes as much of the gap as any such pair can.
    """
    taken = taken.copy()
    while gap := capacity - int(sizes[taken].sum()):
        pairs = [
            (int(large - small), int(small), int(large))
            for small in np.unique(sizes[taken])
            for large in np.unique(sizes[~taken])
            if 0 < large - small <= gap
        ]
        if not pairs:
            break
        _, small, large = max(pairs)
        taken[np.flatnonzero(taken & (sizes == small))[-1]] = False
        taken[np.flatnonzero(~taken & (sizes == large))[0]] = True
    free = np.flatnonzero(~taken)
    if len(free):
        smallest = free[np.argmin(sizes[free])]
        if sizes[smallest] - gap < gap:
            taken[smallest] = True
    return taken
