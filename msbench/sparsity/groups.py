"""Groups: what is removed as one. Input channel c of a convolution, `weight[:, c]` (meta-sparsity paper, eq. 12)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import nn

Scope = Literal["backbone", "model"]


@dataclass(frozen=True)
class GroupLayer:
    """One prunable layer: `count` input channels of `size` weights each (size = O * kH * kW)."""

    name: str
    count: int
    size: int

    @property
    def weights(self) -> int:
        return self.count * self.size


@dataclass(frozen=True)
class Groups:
    """The prunable convolution and linear layers of a scope, in module order."""

    layers: tuple[GroupLayer, ...]

    @classmethod
    def of(cls, model: nn.Module, scope: Scope = "backbone") -> Groups:
        """Every convolution (and linear layer) of `model.backbone`, or of the whole model.

        Batch-norm and biases are not groups (meta-sparsity paper; official code: 4-D weights only).
        """
        prefix = "backbone." if scope == "backbone" else ""
        layers = []
        for name, module in model.named_modules():
            if name.startswith(prefix) and isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
                layers.append(GroupLayer(name, module.weight.shape[1], module.weight[:, 0].numel()))
        return cls(tuple(layers))

    @cached_property
    def weights(self) -> int:
        """All prunable weights of the scope: the denominator of sparsity."""
        return sum(layer.weights for layer in self.layers)

    @property
    def count(self) -> int:
        """All groups of the scope."""
        return sum(layer.count for layer in self.layers)

    def parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Layer name to its weight in `model`."""
        return {layer.name: model.get_submodule(layer.name).get_parameter("weight") for layer in self.layers}
