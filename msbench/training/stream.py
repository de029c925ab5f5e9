"""The training data as a stream of batches whose order depends on the seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from msbench.data.dataset import Batch, Samples
from msbench.tasks.task import Task


class Stream:
    """Endless shuffled epochs over `samples`; each image is mirrored with probability one half when `flip`.

    Every method reads the same stream: the n-th batch of a seed is the same whatever is done with it. Two batches
    in a row never share a sample unless an epoch ends between them.
    """

    def __init__(self, samples: Samples, tasks: Sequence[Task], generator: torch.Generator, flip: bool) -> None:
        if len(samples) == 0:
            raise ValueError("the training part is empty")
        self._samples, self._tasks, self._generator, self._flip = samples, tasks, generator, flip
        self._queue = torch.empty(0, dtype=torch.int64)

    def next(self, size: int) -> Batch:
        """The next `size` samples."""
        while len(self._queue) < size:
            epoch = torch.randperm(len(self._samples), generator=self._generator)
            self._queue = torch.cat([self._queue, epoch])
        chosen, self._queue = self._queue[:size], self._queue[size:]
        batch = self._samples.batch(chosen)
        if not self._flip:
            return batch
        return mirror(batch, self._tasks, torch.rand(size, generator=self._generator) < 0.5)


def mirror(batch: Batch, tasks: Sequence[Task], where: Tensor) -> Batch:
    """Mirror the images at `where` (bool [B]) left to right, with all their targets."""

    def choose(mirrored: Tensor, plain: Tensor) -> Tensor:
        return torch.where(where.view(-1, *([1] * (plain.ndim - 1))), mirrored, plain)

    target, valid = {}, {}
    for task in tasks:
        t, v = batch.target[task.name], batch.valid[task.name]
        target[task.name] = choose(task.flip(t), t)
        valid[task.name] = choose(v.flip(-1), v) if v.ndim > 1 else v
    return Batch(choose(batch.image.flip(-1), batch.image), target, valid)
