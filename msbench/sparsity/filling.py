"""Which entries are removed so that what they save meets a target: greedy by score, then the rest closed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fill(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Which of these sizes, in this order, are taken: a prefix that fits, then whatever still fits."""
    taken = np.cumsum(sizes) <= capacity
    prefix = int(taken.sum())
    room = capacity - int(sizes[:prefix].sum())
    rest = np.arange(prefix, len(sizes))
    while room > 0:  # once a size per round at most: what no longer fits is one size less to look at
        rest = rest[sizes[rest] <= room]
        if not len(rest):
            break
        fits = rest[np.cumsum(sizes[rest]) <= room]
        taken[fits] = True
        room -= int(sizes[fits].sum())
        rest = rest[len(fits) :]
    return taken


def close(sizes: np.ndarray, taken: np.ndarray, capacity: int) -> np.ndarray:
    """Bring what is taken nearer to the capacity: exchange, then overshoot by one where that is nearer.

    sizes are in order of score, lowest first. Each exchange gives back the best-scored taken entry of one size for
    the worst-scored free entry of a larger size, and closes as much of the gap as any such pair can.
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


class TableFilling:
    """The same where what an entry saves depends on how many of its layer are left.

    owner: the layer of each entry, in order of score, lowest first. costs: each layer's cost by kept entries,
    [count + 1]; the entries of a layer that are not listed (protected ones) stay.
    """

    def __init__(self, owner: np.ndarray, costs: Sequence[np.ndarray], capacity: int) -> None:
        self.owner, self.costs, self.room = owner, costs, capacity
        self.kept = np.array([len(cost) - 1 for cost in costs])
        self.taken = np.zeros(len(owner), dtype=bool)

    def cut(self) -> np.ndarray:
        """The longest prefix that fits."""
        for entry, layer in enumerate(self.owner):
            if self._saving(layer) > self.room:
                break
            self._take(entry)
        return self.taken

    def fill(self) -> np.ndarray:
        """Greedy, then exchanges between two layers while one closes some of the gap, then one more or none."""
        self._greedy()
        for _ in range(len(self.costs)):
            if not self._exchange():
                break
            self._greedy()
        free = self._lowest_free()
        if free:
            best = min(free, key=lambda layer: abs(self._saving(layer) - self.room))
            if abs(self._saving(best) - self.room) < self.room:
                self._take(free[best])
        return self.taken

    def _greedy(self) -> None:
        for entry in np.flatnonzero(~self.taken):
            if self._saving(self.owner[entry]) <= self.room:
                self._take(int(entry))

    def _exchange(self) -> bool:
        """Give back one entry of a layer for one of another that saves more; whether any such pair fits."""
        free, highest = self._lowest_free(), self._highest_taken()
        pairs = [
            (gain, back, more)
            for back in highest
            for more in free
            if back != more and 0 < (gain := self._saving(more) - self._refund(back)) <= self.room
        ]
        if not pairs:
            return False
        _, back, more = max(pairs)
        self.room += self._refund(back)
        self.kept[back] += 1
        self.taken[highest[back]] = False
        self._take(free[more])
        return True

    def _take(self, entry: int) -> None:
        layer = self.owner[entry]
        self.room -= self._saving(layer)
        self.kept[layer] -= 1
        self.taken[entry] = True

    def _saving(self, layer: int) -> int:
        """What removing one more entry of a layer saves."""
        return int(self.costs[layer][self.kept[layer]] - self.costs[layer][self.kept[layer] - 1])

    def _refund(self, layer: int) -> int:
        """What giving one entry back costs."""
        return int(self.costs[layer][self.kept[layer] + 1] - self.costs[layer][self.kept[layer]])

    def _lowest_free(self) -> dict[int, int]:
        """Layer to its worst-scored entry that is still there."""
        found: dict[int, int] = {}
        for entry in np.flatnonzero(~self.taken):
            found.setdefault(int(self.owner[entry]), int(entry))
        return found

    def _highest_taken(self) -> dict[int, int]:
        """Layer to its best-scored entry that is taken."""
        return {int(self.owner[entry]): int(entry) for entry in np.flatnonzero(self.taken)}
