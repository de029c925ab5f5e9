"""Weights as matrices of columns, so that sums over groups need no copy, in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 1 << 19
"""Elements of a block on a CPU: two megabytes of float32. Measured: smaller ones wait more often for threads to
meet, larger ones leave the cache."""


@dataclass(frozen=True)
class Columns:
    """A weight [O, I, ...] as a matrix, without a copy: `width` neighbouring columns are one group."""

    matrix: Tensor
    width: int

    @classmethod
    def of(cls, weight: Tensor) -> Columns:
        """[O, I * k], k columns a group, where contiguous; [O * k, I] where channels come last."""
        if weight.is_contiguous():
            return cls(weight.view(weight.shape[0], -1), weight[0, 0].numel())
        last = weight.movedim(1, -1)
        if last.is_contiguous():
            return cls(last.view(-1, weight.shape[1]), 1)
        raise ValueError(f"weight {tuple(weight.shape)}: neither contiguous nor channels last {weight.stride()}")

    @property
    def size(self) -> int:
        """Numbers in a group."""
        return self.matrix.shape[0] * self.width

    def fold(self, values: Tensor) -> Tensor:
        """Sum of values of the matrix's shape over each group."""
        return values.sum(0).view(-1, self.width).sum(1)

    def spread(self, values: Tensor) -> Tensor:
        """A number for each group, repeated for each of its columns."""
        # repeat_interleave would wake every thread for these few numbers
        return values[:, None].expand(-1, self.width).reshape(-1)

    def take(self, channels: slice) -> Columns:
        """Some of the groups."""
        return Columns(self.matrix[:, channels.start * self.width : channels.stop * self.width], self.width)

    def rows(self, scratch: Tensor) -> tuple[Tensor, ...]:
        """The matrix in blocks of rows that fit into `scratch`."""
        return self.matrix.split(scratch.numel() // self.matrix.shape[1])

    def channels(self, scratch: Tensor) -> Iterator[slice]:
        """The groups in blocks that fit into `scratch`."""
        count, step = self.matrix.shape[1] // self.width, scratch.numel() // self.size
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def norms(self, scratch: Tensor) -> Tensor:
        """Euclidean norm of each group."""
        squares = self.matrix.new_zeros(self.matrix.shape[1])
        for rows in self.rows(scratch):
            squares += torch.mul(rows, rows, out=scratch[: rows.numel()].view(rows.shape)).sum(0)
        return squares.view(-1, self.width).sum(1).sqrt_()


def laid_out_like(moment: Tensor, weight: Tensor) -> Tensor:
    """The same numbers with the weight's strides; a copy only where they differ."""
    return moment if moment.stride() == weight.stride() else torch.empty_like(weight).copy_(moment)


def working_memory(layers: Sequence[Columns]) -> Tensor:
    """Working memory for a block: at least a row and a group of any of these layers.

    On a GPU, where launching a kernel costs more than memory does, a block is a whole layer.
    """
    matrix = layers[0].matrix
    if matrix.device.type == "cpu":
        size = max(BLOCK, *(max(layer.matrix.shape[1], layer.size) for layer in layers))
    else:
        size = max(layer.matrix.numel() for layer in layers)
    return matrix.new_empty(size)
