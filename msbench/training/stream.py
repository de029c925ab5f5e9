"""The training data as a stream of batches whose order depends on the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from msbench.data.dataset import Batch, Samples
from msbench.tasks.task import Task
from msbench.training.augment import jitter, mirror, zoom


class Stream:
    """Endless shuffled epochs over `samples`, augmented at random, each image by itself.

    flip: mirror with probability one half. zoom: largest factor of a random enlargement, 1 for none.
    jitter: strength of random changes of brightness, contrast and saturation, 0 for none. device: where batches come
    to lie, and are augmented.

    Every method reads the same stream: the n-th batch of a seed is the same whatever is done with it. Two batches
    in a row never share a sample unless an epoch ends between them. What is off draws nothing.
    """

    def __init__(
        self,
        samples: Samples,
        tasks: Sequence[Task],
        generator: torch.Generator,
        flip: bool,
        zoom: float = 1.0,
        jitter: float = 0.0,
        device: torch.device | None = None,
    ) -> None:
        if len(samples) == 0:
            raise ValueError("the training part is empty")
        self._samples, self._tasks, self._generator = samples, tasks, generator
        self._flip, self._zoom, self._jitter = flip, zoom, jitter
        self._device = device or torch.device("cpu")
        self._queue = torch.empty(0, dtype=torch.int64)

    def next(self, size: int) -> Batch:
        """The next `size` samples."""
        while len(self._queue) < size:
            epoch = torch.randperm(len(self._samples), generator=self._generator)
            self._queue = torch.cat([self._queue, epoch])
        chosen, self._queue = self._queue[:size], self._queue[size:]
        return self._augment(self._samples.batch_on(chosen, self._device))

    def state(self) -> dict[str, Tensor]:
        """Where the stream is: the indices left of the epochs that were drawn, and its generator."""
        return {"queue": self._queue, "generator": self._generator.get_state()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        self._queue = state["queue"]
        self._generator.set_state(state["generator"])

    def _augment(self, batch: Batch) -> Batch:
        if self._flip:
            batch = mirror(batch, self._tasks, torch.rand(len(batch), generator=self._generator) < 0.5)
        if self._zoom > 1:
            draws = torch.rand(3, len(batch), generator=self._generator)
            batch = zoom(batch, self._tasks, draws, self._zoom)
        if self._jitter > 0:
            draws = torch.rand(3, len(batch), generator=self._generator)
            batch = Batch(jitter(batch.image, draws, self._jitter), batch.target, batch.valid)
        return batch
