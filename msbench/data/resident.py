"""Training samples held in a device's memory: batches are gathered there, nothing is decoded or copied again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from msbench.data.dataset import Batch, Samples, sent
from msbench.errors import UserError

_CHUNK = 256
"""Samples read at a time while the memory is filled."""
_SPARE = 0.5
"""Share of a GPU's free memory that the data may take: the network, its activations and moments need the rest."""


class ResidentSamples(Samples):
    """The same batches as those of `samples`, bit for bit, from arrays on `device`.

    Every array is kept in the smallest type that holds each of its numbers exactly: images and labels that were bytes
    are bytes again. Raises UserError where a GPU has too little free memory.
    """

    def __init__(self, samples: Samples, device: torch.device) -> None:
        self._count, self._device = len(samples), device
        first = samples.batch(torch.tensor([0]))
        self._kinds = {name: value.dtype for name, value in _fields(first).items()}
        chunks: dict[str, list[Tensor]] = {name: [] for name in self._kinds}
        room, used = _room(device), 0
        for indices in torch.arange(self._count).split(_CHUNK):
            for name, value in _fields(samples.batch(indices)).items():
                packed = _pack(value, name == "image").to(device)
                chunks[name].append(packed)
                used += packed.nbytes
            if room is not None and used > room:
                raise UserError(
                    f"training.data_on_device: {used / 1e9:.1f} GB and more of data, but {room / 1e9:.1f} GB "
                    f"of {device} may be used for them; set training.data_on_device=false"
                )
        self._arrays = {name: _join(parts, self._kinds[name], name == "image") for name, parts in chunks.items()}

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the arrays take."""
        return sum(value.nbytes for value in self._arrays.values())

    def batch(self, indices: Tensor) -> Batch:
        indices = sent(indices, self._device)
        found = {
            name: _unpack(value.index_select(0, indices), self._kinds[name], name == "image")
            for name, value in self._arrays.items()
        }
        return Batch(found["image"], _part(found, "target."), _part(found, "valid."))


def _fields(batch: Batch) -> dict[str, Tensor]:
    targets = {f"target.{name}": value for name, value in batch.target.items()}
    return {"image": batch.image, **targets, **{f"valid.{name}": value for name, value in batch.valid.items()}}


def _part(found: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def _smaller(kind: torch.dtype, is_image: bool) -> Iterator[torch.dtype]:
    """Types that an array of this kind may fit into, the smallest first."""
    if kind in (torch.int64, torch.int32, torch.int16) or (is_image and kind == torch.float32):
        yield torch.uint8
    if kind == torch.float32:
        yield torch.float16


def _pack(value: Tensor, is_image: bool) -> Tensor:
    for smaller in _smaller(value.dtype, is_image):
        packed = (value * 255.0).round() if is_image and smaller == torch.uint8 else value
        packed = packed.to(smaller)
        if torch.equal(_unpack(packed, value.dtype, is_image), value):
            return packed
    return value


def _unpack(packed: Tensor, kind: torch.dtype, is_image: bool) -> Tensor:
    if is_image and packed.dtype == torch.uint8:
        return packed.to(kind).div_(255.0)
    return packed.to(kind)


def _join(parts: list[Tensor], kind: torch.dtype, is_image: bool) -> Tensor:
    """One array; in its own type where not every part fitted into the same smaller one."""
    kinds = {part.dtype for part in parts}
    return torch.cat(parts if len(kinds) == 1 else [_unpack(part, kind, is_image) for part in parts])


def _room(device: torch.device) -> float | None:
    """Bytes that the data may take; None where the system swaps rather than fails."""
    return _SPARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
