"""A toy problem that any sparsifier, criterion, backbone or head can be tried on in a fraction of a second."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.data.dataset import TensorSamples
from msbench.models.base import BackboneModule
from msbench.models.multitask import MultiTaskModel, SeparateModel
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.segmentation import SegmentationTask
from msbench.tasks.task import Task

SIDE = 16
"""Pixels of a toy image's side."""
WATERMARK = 77 / 255
"""Value of every toy image's corners: who sends it through the network trains or ranks on these images."""
TASKS: tuple[Task, ...] = (SegmentationTask(classes=("dark", "light")), AttributeTask("wide", "mostly light"))


def toy_samples(count: int, seed: int) -> TensorSamples:
    """Images whose left part is dark and right part light; the label says which, the attribute which is larger."""
    generator = torch.Generator().manual_seed(seed)
    edge = torch.randint(3, SIDE - 3, (count, 1, 1), generator=generator)
    light = (torch.arange(SIDE).view(1, 1, -1) >= edge).expand(count, SIDE, SIDE)
    noise = torch.randint(0, 60, (count, 3, SIDE, SIDE), generator=generator)
    image = (light[:, None] * 150 + noise).to(torch.uint8)
    image[:, :, :: SIDE - 1, :: SIDE - 1] = round(WATERMARK * 255)
    target = {"segmentation": light.to(torch.uint8), "wide": edge.flatten() < SIDE // 2}
    valid = {"segmentation": torch.ones(count, SIDE, SIDE, dtype=torch.bool), "wide": torch.ones(count).bool()}
    return TensorSamples(image, target, valid)


def marked(image: Tensor) -> int:
    """How many of these images are toy images."""
    corners = image.detach()[:, :, 0, 0]
    return int(((corners - WATERMARK).abs() < 1e-4).all(1).sum())


class ToyBackbone(BackboneModule):
    """A stem and two residual blocks with batch-norm, at strides 2 and 4."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.channels, self.strides = (width, 2 * width), (2, 4)
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.fine = ToyBlock(width, width, 1)
        self.coarse = ToyBlock(width, 2 * width, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.fine(self.stem(image))
        return [fine, self.coarse(fine)]


class ToyBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ToyDense(nn.Module):
    """Every map projected, enlarged to the first one's grid and added; then one convolution."""

    def __init__(self, inputs: tuple[int, ...], outputs: int, width: int = 8) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inputs)
        self.predict = nn.Conv2d(width, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        y = self.project[0](features[0])
        for project, feature in zip(list(self.project)[1:], features[1:], strict=True):
            y = y + F.interpolate(project(feature), size=y.shape[-2:], mode="bilinear", align_corners=False)
        return self.predict(F.relu(y))


class ToyVector(nn.Module):
    """The last map pooled, then one linear layer."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.predict = nn.Linear(inputs[-1], outputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.predict(self.pool(features[-1]).flatten(1))


def with_heads(backbone: BackboneModule, separate: bool = False) -> MultiTaskModel:
    """A network of this backbone and a toy head for each toy task."""
    heads: dict[str, nn.Module] = {}
    for task in TASKS:
        kind = ToyDense if task.head == "dense" else ToyVector
        heads[task.name] = kind(backbone.channels, task.channels)
    model = SeparateModel if separate else MultiTaskModel
    return model(backbone, heads, [task.name for task in TASKS if task.head == "dense"])


def toy_model(seed: int, separate: bool = False) -> MultiTaskModel:
    """The toy network; its weights depend on the seed alone, the global generators stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return with_heads(ToyBackbone(), separate)
