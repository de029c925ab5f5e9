"""A small residual network for CPU-sized experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import BackboneModule, UserError
from msbench_plugins.backbones.weights import FileBackbone


@dataclass
class SmallResNet(FileBackbone):
    """Three stages of basic blocks (He et al., 2016) at strides 2, 4 and 8.

    width: channels of the first stage; each later stage doubles them.
    blocks: basic blocks a stage.
    """

    name: ClassVar[str] = "small_resnet"
    paper: ClassVar[str] = "He, Zhang, Ren and Sun. Deep residual learning for image recognition. CVPR 2016"
    width: int = 32
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 1:
            raise UserError(f"model.backbone: width and blocks must be at least 1, got {self.width} and {self.blocks}")

    def fresh(self) -> BackboneModule:
        return _SmallResNet(self.width, self.blocks)


class _SmallResNet(BackboneModule):
    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width)
        self.strides = (2, 4, 8)
        self.stem = nn.Sequential(nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stage1 = _stage(width, width, blocks, stride=1)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, blocks, stride=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.stage1(self.stem(image))
        middle = self.stage2(fine)
        return [fine, middle, self.stage3(middle)]


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))
