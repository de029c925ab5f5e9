"""What a plugin does behind the host's back: global generators, data that it must not read, uncounted samples."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msbench.conformance.toy import marked
from msbench.data.dataset import Batch, Dataset, Samples


@dataclass
class Watch:
    """What was seen: global generators that moved, forbidden reads, and toy images that went forward with gradient."""

    generators: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    forwarded: int = 0

    def read(self, what: str) -> None:
        """Note a forbidden read, once."""
        if what not in self.reads:
            self.reads.append(what)


class Forbidden(Samples):
    """A part of the data whose reads are noted unless `allowed()`."""

    def __init__(self, inner: Samples, watch: Watch, what: str, allowed: Callable[[], bool] = lambda: False) -> None:
        self._inner, self._watch, self._what, self._allowed = inner, watch, what, allowed

    def __len__(self) -> int:
        return len(self._inner)

    def batch(self, indices: Tensor) -> Batch:
        if not self._allowed():
            self._watch.read(self._what)
        return self._inner.batch(indices)


@contextmanager
def watched_generators(watch: Watch) -> Iterator[None]:
    """The global generators in a known state, and as they were afterwards; which of them moved is noted."""
    outside = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = _states()
    try:
        yield
    finally:
        after = _states()
        watch.generators += [name for name in before if before[name] != after[name]]
        random.setstate(outside[0])
        np.random.set_state(outside[1])
        torch.random.set_rng_state(outside[2])


def _states() -> dict[str, Any]:
    position: Any = np.random.get_state()
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "numpy": (position[1].tobytes(), position[2]),
        "random": random.getstate(),
    }


@contextmanager
def watched_datasets(watch: Watch) -> Iterator[None]:
    """Every dataset class notes who asks it for samples: a sparsifier has its data from the trainer."""
    classes = [cls for cls in _subclasses(Dataset) if "samples" in vars(cls)]
    originals: list[tuple[type, Any]] = [(cls, vars(cls)["samples"]) for cls in classes]

    def noting(cls: type, original: Any) -> Any:
        def samples(self: Any, part: Any, *args: Any, **kwargs: Any) -> Any:
            watch.read(f"the {part} part of the dataset {getattr(cls, 'name', cls.__name__)!r}")
            return original(self, part, *args, **kwargs)

        return samples

    for cls, original in originals:
        cls.samples = noting(cls, original)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for cls, original in originals:
            cls.samples = original  # type: ignore[attr-defined]


def _subclasses(cls: type) -> list[type]:
    children: list[type] = cls.__subclasses__()
    return [found for child in children for found in (child, *_subclasses(child))]


@contextmanager
def watched_forwards(model: nn.Module, watch: Watch) -> Iterator[None]:
    """Toy images that go through the network with gradient are counted: the trainer must have counted them too."""

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled() and args and isinstance(args[0], Tensor):
            watch.forwarded += marked(args[0])

    handle = model.register_forward_pre_hook(count)
    try:
        yield
    finally:
        handle.remove()
