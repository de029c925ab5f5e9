"""Data parallelism: a batch goes through the network in parts, one a process, and comes out as if it had been whole.

Every process holds the same network and runs the same sparsifier with the same batches; only forward and backward are
shared out. What comes out of the network is gathered in every process, so that losses, loss balancers and objectives
see the whole batch, whatever they compute (a mean over valid pixels is no mean of the parts' means). Gradients are
those of the whole batch, and batch-norm uses its statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from msbench.errors import UserError
from msbench.training.collectives import Ranks
from msbench.training.randomness import ModelRandomness

PART = "_part_of_batch"
"""Attribute of a batch-norm layer while a part of a batch goes through it."""
HALVES = (torch.float16, torch.bfloat16)


class Split:
    """Sends batches through networks in parts, one a process.

    seed: of the run; random layers draw for each part by itself.
    """

    def __init__(self, ranks: Ranks, seed: int, device: torch.device) -> None:
        self.ranks = ranks
        self._randomness = ModelRandomness(seed + 0xD0 + 0x9E3779B1 * ranks.rank, device)

    def serves(self, model: nn.Module, samples: int) -> bool:
        """Whether a batch can go in parts. It goes whole, in every process, where it has fewer samples than there
        are processes, and where code of others watches layers: it would see a part of the batch only.
        """
        return samples >= self.ranks.count and not any(
            module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
            for module in model.modules()
        )

    def outputs(
        self, model: nn.Module, image: Tensor, active: Sequence[str] | None, weights: Mapping[str, Tensor] | None
    ) -> dict[str, Tensor]:
        """What `model(image, active)` gives with `weights` (the model's own where None), for the whole batch."""
        sizes = self.ranks.sizes(len(image))
        own = image.split(sizes)[self.ranks.rank]
        used = self._used(dict(model.named_parameters()) if weights is None else weights)
        with self._randomness.lent(), statistics_of_the_batch(model, _Part(self.ranks, len(own), len(image))):
            found: dict[str, Tensor] = torch.func.functional_call(model, used, (own, active))
        return {
            name: self.ranks.whole(output.float() if output.dtype in HALVES else output, sizes)
            for name, output in found.items()
        }

    def alike(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same losses in every process, to the last bit, on devices that do not add up in a fixed order too."""
        return {name: self.ranks.alike(loss) for name, loss in losses.items()}

    def _used(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
        return {**weights, **dict(zip(trained, self.ranks.use(list(trained.values())), strict=True))}


@dataclass(frozen=True)
class _Part:
    """This process's part of a batch: so many of its samples."""

    ranks: Ranks
    samples: int
    of: int

    def elements(self, count: int) -> int:
        """How many elements the whole batch has where this part has `count`."""
        return count * self.of // self.samples

    def mean(self, sums: Tensor, count: int) -> Tensor:
        """Sums over this part to means over `count` elements of the whole batch."""
        (found,) = self.ranks.use([self.ranks.total([sums])[0] / count])
        return found


@contextmanager
def statistics_of_the_batch(model: nn.Module, part: _Part) -> Iterator[None]:
    """Inside this, batch-norm layers in train mode use the mean and variance of the whole batch.

    Raises UserError where a layer is a batch-norm of another kind, whose statistics cannot be had from parts.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and (m.training or m.running_mean is None)]
    for norm in norms:
        if type(norm) not in WHOLE:
            kind = type(norm).__name__
            raise UserError(
                f"engine.processes: the network has a batch-norm of the kind {kind}, whose statistics "
                "cannot be had from parts of a batch: use engine.processes=1, or nn.BatchNorm2d in its place"
            )
    kinds = [type(norm) for norm in norms]
    try:
        for norm in norms:
            norm.__class__ = WHOLE[type(norm)]
            norm.__dict__[PART] = part
        yield
    finally:
        for norm, own in zip(norms, kinds, strict=True):
            norm.__class__ = own
            norm.__dict__.pop(PART, None)


class _WholeBatchNorm(_BatchNorm):
    """Batch-norm whose statistics are those of a batch of which every process has a part."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        part: _Part = self.__dict__[PART]
        count = part.elements(input.numel() // input.shape[1])
        if count <= 1:
            raise ValueError(f"batch-norm needs more than one value a channel, its input is {list(input.shape)}")
        exact = input.float() if input.dtype in HALVES else input
        across = [dimension for dimension in range(input.ndim) if dimension != 1]
        mean = part.mean(exact.sum(across), count)
        centred = exact - _columns(mean, input)
        variance = part.mean(centred.square().sum(across), count)
        if self.training and self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        found = centred * _columns(scale, input)
        if self.affine:
            found = found + _columns(self.bias, input)
        return found.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Running statistics after this batch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
        self.running_var.lerp_(variance.to(self.running_var.dtype), factor)


def _columns(values: Tensor, like: Tensor) -> Tensor:
    """[C] as [1, C, 1, …]."""
    return values.view(1, -1, *([1] * (like.ndim - 2)))


class _Whole1d(_WholeBatchNorm, nn.BatchNorm1d):
    """Its kind tells which inputs fit."""


class _Whole2d(_WholeBatchNorm, nn.BatchNorm2d):
    """Its kind tells which inputs fit."""


class _Whole3d(_WholeBatchNorm, nn.BatchNorm3d):
    """Its kind tells which inputs fit."""


WHOLE: Mapping[type[_BatchNorm], type[_WholeBatchNorm]] = {
    nn.BatchNorm1d: _Whole1d,
    nn.BatchNorm2d: _Whole2d,
    nn.BatchNorm3d: _Whole3d,
}
