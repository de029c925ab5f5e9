"""ConvNeXt, a convolutional network with transformer-like blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from msbench.api import BackboneModule, import_torchvision
from msbench_plugins.backbones.weights import FileBackbone


@dataclass
class ConvNeXt(FileBackbone):
    """torchvision's ConvNeXt without its classifier, freshly initialised; four maps at strides 4, 8, 16 and 32.

    Stochastic depth is left out: it has no weights and serves trainings of hundreds of epochs.
    Groups are input channels of its convolutions and linear layers. Layer-norm reads every channel of a stage, so
    that only a block's hidden channels (inputs of its second linear layer) can make the network smaller.

    size: "tiny" (27.8 M parameters), "small" (49.5 M) or "base" (87.6 M).
    """

    name: ClassVar[str] = "convnext"
    paper: ClassVar[str] = "Liu et al. A ConvNet for the 2020s. CVPR 2022"
    size: Literal["tiny", "small", "base"] = "tiny"

    def fresh(self) -> BackboneModule:
        return _ConvNeXt(self.size)


class _ConvNeXt(BackboneModule):
    def __init__(self, size: str) -> None:
        super().__init__()
        models = import_torchvision().models
        self.features: nn.Sequential = getattr(models, f"convnext_{size}")(weights=None).features
        for module in list(self.features.modules()):
            if hasattr(module, "stochastic_depth"):
                module.stochastic_depth = nn.Identity()
        self.channels = tuple(stage[0].block[0].out_channels for stage in self.features[1::2])
        self.strides = (4, 8, 16, 32)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = []
        y = image
        for index, layer in enumerate(self.features):
            y = layer(y)
            if index % 2 == 1:
                maps.append(y)
        return maps
