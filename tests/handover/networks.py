"""Compact networks to hand over: of compaction's test networks, and of a small classifier."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

import msbench
from msbench.api import import_torchvision
from msbench.handover import HandOver
from msbench.sparsity.groups import Groups
from tests.sparsity import networks


class Classifier(nn.Module):
    """ResNet-18's stem, basic blocks, pooling and linear layer, at an eighth of its width and half its depth."""

    def __init__(self) -> None:
        super().__init__()
        block = import_torchvision().models.resnet.BasicBlock
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages = [block(8, 8)]
        for width in (8, 16, 32):
            project = nn.Sequential(nn.Conv2d(width, 2 * width, 1, 2, bias=False), nn.BatchNorm2d(2 * width))
            stages.append(block(width, 2 * width, 2, project))
        self.stages = nn.Sequential(*stages)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.predict = nn.Linear(64, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.predict(torch.flatten(self.average(self.stages(self.pool(self.stem(image)))), 1))


class Bordered(nn.Module):
    """A dead convolution before a padded one leaves a border: maps that depend on the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 4), (4, 4), (7, 2)))

    def forward(self, image: Tensor) -> Tensor:
        dead = torch.relu(self.second(torch.relu(self.first(image))))
        return self.third(torch.cat([dead, image], 1))


class OneSize(nn.Module):
    """A linear layer on all pixels: images of 8x8 only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 64, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"class": self.last(torch.flatten(torch.relu(self.first(image)), 1))}


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "residual": networks.residual,
    "bottlenecks": networks.Bottlenecks,
    "pre-activation": networks.PreActivation,
    "unruly": networks.Unruly,
    "classifier": Classifier,
    "bordered": Bordered,
    "one-size": OneSize,
}


@functools.cache
def network(name: str) -> nn.Module:
    """A network with weights under which outputs vary."""
    torch.manual_seed(0)
    return networks.unsettle(BUILDERS[name](), seed=0)


def mask_of(model: nn.Module, share: float = 0.6) -> dict[str, Tensor]:
    """About this share of each layer's input channels; none of `second` in the bordered network."""
    generator = torch.Generator().manual_seed(3)
    layers = Groups.of(model, "model").layers
    mask = {layer.name: torch.rand(layer.count, generator=generator) < share for layer in layers}
    for kept in mask.values():
        kept[0] = True
    return mask | ({"second": torch.zeros(4, dtype=torch.bool)} if isinstance(model, Bordered) else {})


@functools.cache
def compacted(name: str) -> HandOver:
    """The compact form of `network(name)`; treat it as read-only."""
    example = torch.randn(1, 3, 8, 8) if name == "one-size" else torch.randn(2, 3, 16, 24)
    model = network(name)
    found = msbench.compact(model, mask_of(model), example)
    assert not found.reason
    return found


def images(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Noise, three images of different shapes by default."""
    generator = torch.Generator().manual_seed(9)
    return [
        torch.randn(shape, generator=generator) for shape in shapes or ((1, 3, 16, 24), (3, 3, 37, 21), (2, 3, 9, 9))
    ]


def by_task(found: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return {"output": found} if isinstance(found, Tensor) else found
