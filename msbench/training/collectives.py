"""What the processes of one run exchange while they train it, differentiable any number of times.

A value is either common, the same in every process (parameters, losses), or local (activations of a process's part of
the batch). The gradient of a common value is common, that of a local value is local. `use` and `total` are each other's
derivative, and so are taking `whole` and taking a part.

There is no default process group: metrics and other libraries that find one would exchange values of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

T = TypeVar("T")
Optional = Tensor | None
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: they may evaluate meanwhile, or prepare data."""


class RankLostError(RuntimeError):
    """Another process of the run has ended, or cannot be reached."""


@contextmanager
def _exchange() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(f"another process of this run was lost: {str(error).splitlines()[0]}") from error


@dataclass
class Ranks:
    """The processes that train one run together, and which of them this is.

    store: torch.distributed's, for objects, which are few. group: one of its backends, for tensors.
    """

    rank: int
    count: int
    store: Any
    group: Any
    _exchanges: int = field(default=0, init=False)

    @classmethod
    def joined(cls, device: torch.device) -> Ranks:
        """This process among those that torchrun has started for one run on this kind of device."""
        store, rank, count = next(iter(rendezvous("env://")))
        store.set_timeout(PATIENCE)
        tensors = distributed_c10d.PrefixStore("tensors", store)
        if device.type == "cuda":
            options = distributed_c10d.ProcessGroupNCCL.Options()
            options._timeout = PATIENCE
            return cls(rank, count, store, distributed_c10d.ProcessGroupNCCL(tensors, rank, count, options))
        return cls(rank, count, store, distributed_c10d.ProcessGroupGloo(tensors, rank, count, PATIENCE))

    @property
    def first(self) -> bool:
        """Whether this process writes what comes out of the run."""
        return self.rank == 0

    def sizes(self, total: int) -> list[int]:
        """How many of so many samples each process has, in order; they differ by one at most."""
        return [total // self.count + (rank < total % self.count) for rank in range(self.count)]

    # -- objects -------------------------------------------------------------------------------------------------

    def of_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, in all of them; it is plain JSON."""
        return cast(T, self._told(0, make() if self.first else None))

    def check_alike(self, digest: str) -> None:
        """RuntimeError in every process where they have not all computed the same."""
        if len({self._told(rank, digest) for rank in range(self.count)}) > 1:
            raise RuntimeError(
                f"the {self.count} processes of this run have come to different weights: the sparsifier decides by "
                "something that is not the same in all of them (time, its own random numbers); use engine.processes=1"
            )

    def _told(self, rank: int, value: object) -> object:
        """The value of one process, in all of them."""
        self._exchanges += 1
        key = f"object/{self._exchanges}"
        with _exchange():
            if rank == self.rank:
                self.store.set(key, json.dumps(value))
                return value
            return cast(object, json.loads(self.store.get(key)))

    # -- tensors -------------------------------------------------------------------------------------------------

    def use(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Common tensors, to be used in local computations: their gradients are added up over all processes."""
        return list(_Use.apply(self, *tensors)) if tensors else []

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of local tensors over all processes: common."""
        return list(_Total.apply(self, *tensors))

    def whole(self, tensor: Tensor, sizes: Sequence[int]) -> Tensor:
        """All processes' parts [sizes[rank], …] of a batch, one after the other: [sum of sizes, …], common."""
        found: Tensor = _Whole.apply(self, tensor, tuple(sizes))
        return found

    def alike(self, tensor: Tensor) -> Tensor:
        """The first process's value of a tensor that is common but for rounding; its gradient is handed on as it is."""
        found: Tensor = _Alike.apply(self, tensor)
        return found


class _Use(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.ranks = ranks
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Optional) -> tuple[Optional, ...]:
        # the processes run the same network, so the same gradients are missing in all
        there = [gradient for gradient in gradients if gradient is not None]
        summed = iter(_Total.apply(ctx.ranks, *there) if there else ())
        return None, *(None if gradient is None else next(summed) for gradient in gradients)


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.ranks = ranks
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _exchange():
            ranks.group.allreduce([flat]).wait()
        pieces = flat.split([tensor.numel() for tensor in tensors])
        # laid out as what came in: an optimizer is faster so
        return tuple(torch.empty_like(t).copy_(piece.view(t.shape)) for t, piece in zip(tensors, pieces, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Optional) -> tuple[Optional, ...]:
        there = [gradient for gradient in gradients if gradient is not None]
        used = iter(_Use.apply(ctx.ranks, *there) if there else ())
        return None, *(None if gradient is None else next(used) for gradient in gradients)


class _Whole(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.ranks, ctx.sizes = ranks, sizes
        padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in sizes]
        with _exchange():
            ranks.group.allgather([parts], [padded]).wait()
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Optional, ...]:
        return None, _Part.apply(ctx.ranks, gradient, ctx.sizes), None


class _Part(Function):
    """A process's own part of a common batch."""

    @staticmethod
    def forward(ctx: Any, ranks: Ranks, tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.ranks, ctx.sizes = ranks, sizes
        return tensor.split(sizes)[ranks.rank].clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Optional, ...]:
        return None, _Whole.apply(ctx.ranks, gradient, ctx.sizes), None


class _Alike(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, tensor: Tensor) -> Tensor:
        found = tensor.clone()
        with _exchange():
            ranks.group.broadcast(found, 0).wait()
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Optional, ...]:
        return None, gradient
