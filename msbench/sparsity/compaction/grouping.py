"""Some rows and columns of a grouped convolution, as a convolution of fewer and narrower groups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Block:
    """A convolution of `groups` groups: weight [O, I / groups, k...], bias [O].

    inputs: positions among the wanted columns that its input consists of, None where it is just these.
    outputs: positions of the wanted rows in its output, None where that is just these.
    """

    weight: Tensor
    bias: Tensor
    groups: int
    inputs: Tensor | None = None
    outputs: Tensor | None = None


def cut(weight: Tensor, bias: Tensor, rows: Tensor, columns: Tensor, groups: int) -> Block:
    """The outputs `rows` [O] of a convolution with weight [O, I / groups, k...] from the inputs `columns` [I].

    Groups without a wanted row go. Where the others differ in width, all get the width of the widest: absent
    rows are zero, absent columns repeat one that is there, with zero weights. What columns that are left
    out add to the wanted rows is the caller's to account for.
    """
    if groups == 1:
        return Block(weight[rows][:, columns], bias[rows], 1)
    per_group = zip(rows.chunk(groups), columns.chunk(groups), weight.chunk(groups), bias.chunk(groups), strict=True)
    kept = [(r, c, w[r][:, c], b[r]) for r, c, w, b in per_group if r.any()]
    height, width = (max(1, *(int(group[side].sum()) for group in kept), 1) for side in (0, 1))
    starts = torch.tensor([0, *(int(c.sum()) for c in columns.chunk(groups))]).cumsum(0)
    numbers = [index for index, r in enumerate(rows.chunk(groups)) if r.any()]

    new_weight = weight.new_zeros(len(kept) * height, width, *weight.shape[2:])
    new_bias = bias.new_zeros(len(kept) * height)
    inputs, outputs = list[int](), list[int]()
    for position, (number, (_, _, own, shift)) in enumerate(zip(numbers, kept, strict=True)):
        count, used = own.shape[:2]
        begin, first = position * height, int(starts[number])
        new_weight[begin : begin + count, :used] = own
        new_bias[begin : begin + count] = shift
        # a group without any column repeats whichever is there: its weights are zero
        inputs += [first + column if column < used else (first if used else 0) for column in range(width)]
        outputs += range(begin, begin + count)
    return Block(
        new_weight,
        new_bias,
        len(kept),
        _unless_identity(inputs, int(columns.sum())),
        _unless_identity(outputs, len(new_bias)),
    )


def _unless_identity(positions: list[int], count: int) -> Tensor | None:
    return None if positions == list(range(count)) else torch.tensor(positions)
