"""What backbones and heads are: modules with a declared interface, built from a dataclass configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn


class Backbone(ABC):
    """A backbone plugin: a dataclass whose fields are its configuration (`model.backbone.FIELD=value`).

    location: fields that name a file of weights (empty: none). Its content makes a run another run, its place does not.
    packages: installed packages, beyond msbench's own dependencies, whose version can change the network.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    location: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self) -> BackboneModule:
        """A freshly initialised module; all randomness from torch's default generator, which the host seeds."""


class BackboneModule(nn.Module):
    """Maps an image [B, 3, H, W] to a list of feature maps, finest first.

    channels: channels of each returned map. strides: input pixels per pixel of each map.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, image: Tensor) -> list[Tensor]:
        raise TypeError(f"{type(self).__name__} must define forward")


class Head(ABC):
    """A head plugin: a dataclass of configuration (`model.head.FIELD=value`) for one kind of output."""

    name: ClassVar[str]
    kind: ClassVar[Literal["dense", "vector"]]
    paper: ClassVar[str] = ""

    @abstractmethod
    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        """A module from the backbone's list of feature maps to one output.

        Dense: [B, channels, h, w] on any grid (the model resizes it to the input's); vector: [B, channels].
        Only operations that torch.fx can trace, so that the network can be shrunk.
        """
