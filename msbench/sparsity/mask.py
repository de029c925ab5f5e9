"""Mask: what is kept. A plain mapping of layer name to booleans, with the arithmetic inside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from msbench.sparsity.groups import Groups


class Mask(dict[str, Tensor]):
    """Layer name (module path, e.g. "backbone.stem.conv") to a boolean tensor, True = kept.

    Structured layers: [I], one boolean per input channel of the layer's weight (dimension 1), the papers' group.
    Unstructured layers: the weight's own shape, one boolean per element. Layers that are absent are kept whole.
    """

    def __init__(self, kept: Mapping[str, Tensor]) -> None:
        super().__init__({name: value.detach().bool().cpu() for name, value in kept.items()})

    @property
    def structured(self) -> bool:
        """Whether every layer is masked by whole input channels."""
        return all(value.ndim == 1 for value in self.values())

    def expanded(self, name: str, weight: Tensor) -> Tensor:
        """This layer's booleans, broadcastable against its weight [O, I, ...] and on its device."""
        kept = self[name].to(weight.device)
        if kept.ndim == 1:
            return kept.view(1, -1, *([1] * (weight.ndim - 2)))
        if kept.shape != weight.shape:
            raise ValueError(f"mask of {name!r}: shape {tuple(kept.shape)}, weight {tuple(weight.shape)}")
        return kept

    def channels(self, name: str, count: int) -> Tensor:
        """Which of a layer's `count` input channels keep anything: [count]; all of them where the mask is silent."""
        kept = self.get(name)
        if kept is None:
            return torch.ones(count, dtype=torch.bool)
        return kept if kept.ndim == 1 else kept.transpose(0, 1).flatten(1).any(1)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Set every weight that is not kept to zero, in place."""
        for name in self:
            weight = model.get_submodule(name).get_parameter("weight")
            weight.mul_(self.expanded(name, weight))

    def digest(self) -> str:
        """SHA-256 over names, shapes and booleans: equal masks, equal digests."""
        digest = hashlib.sha256()
        for name in sorted(self):
            digest.update(f"{name}{tuple(self[name].shape)}".encode())
            digest.update(self[name].to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write as safetensors (uint8)."""
        save_file({name: value.to(torch.uint8).contiguous() for name, value in self.items()}, path)

    @classmethod
    def load(cls, path: Path) -> Mask:
        """Read what `save` wrote."""
        return cls(load_file(path))

    @classmethod
    def from_zeros(cls, model: nn.Module, groups: Groups, structured: bool = True) -> Mask:
        """What is not exactly zero now: whole input channels, or single weights."""
        kept = {}
        for name, parameter in groups.parameters(model).items():
            weight = parameter.detach()
            kept[name] = _channels_with_values(weight) if structured else weight.ne(0)
        return cls(kept)


def _channels_with_values(weight: Tensor) -> Tensor:
    """Which input channels of a weight [O, I, ...] are not all zero: [I]; in its own memory layout, without a copy."""
    # the maximum of bytes is vectorised where `any` of booleans is not
    there = weight.ne(0).view(torch.uint8)
    if there.is_contiguous():
        return there.view(*there.shape[:2], -1).amax(0).amax(1).bool()
    return there.amax([d for d in range(there.ndim) if d != 1]).bool()
