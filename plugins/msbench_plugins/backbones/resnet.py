"""ResNet-18, -34, -50 and -101, dilated to a chosen output stride."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor, nn

from msbench.api import BackboneModule, UserError, import_torchvision
from msbench_plugins.backbones.strides import check_output_stride
from msbench_plugins.backbones.weights import FileBackbone

Stem = Literal["torchvision", "papers", "adapmtl"]

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1), 32: (1, 2, 2, 2)}


@dataclass
class ResNet(FileBackbone):
    """torchvision's ResNet without its classifier, freshly initialised; four maps, finest first.

    depth: 18, 34 (basic blocks), 50 or 101 (bottlenecks).
    output_stride: 8, 16 or 32 input pixels per pixel of the last map; strides beyond it become dilations.
    stem: "torchvision" is one 7x7 convolution, and the first block of a dilated stage keeps the previous
        dilation; "papers" is the meta-sparsity papers' network: three 3x3 convolutions 3-64-64-128, every
        3x3 of a dilated stage dilated (1, 1, 2, 4 at output stride 8), and PyTorch's default initialisation;
        "adapmtl" is AdapMTL's DeepLab-ResNet: torchvision's stem with a pooling that rounds sizes up, dilated
        like "papers", weights from N(0, 0.01).
    """

    name: ClassVar[str] = "resnet"
    paper: ClassVar[str] = "He, Zhang, Ren and Sun. Deep residual learning for image recognition. CVPR 2016"
    depth: int = 18
    output_stride: int = 8
    stem: Stem = "torchvision"

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)
        for field, choices in {"depth": _BLOCKS, "stem": get_args(Stem)}.items():
            if getattr(self, field) not in choices:
                known = ", ".join(str(choice) for choice in choices)
                raise UserError(f"model.backbone.{field}: {getattr(self, field)!r} is not one of {known}")

    def fresh(self) -> BackboneModule:
        return _ResNet(self.depth, self.output_stride, self.stem)

    def aliases(self, key: str) -> Iterable[str]:
        """torchvision's name."""
        if key.startswith("stages."):
            return [re.sub(r"^stages\.(\d)", lambda match: f"layer{int(match[1]) + 1}", key)]
        return [key.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")]


class _ResNet(BackboneModule):
    def __init__(self, depth: int, output_stride: int, kind: Stem) -> None:
        super().__init__()
        resnet = import_torchvision().models.resnet
        block = resnet.Bottleneck if depth >= 50 else resnet.BasicBlock
        network = resnet.ResNet(block, _BLOCKS[depth])

        stem = [network.conv1, network.bn1, network.relu]
        if kind == "papers":
            stem = [*_conv_bn_relu(3, 64, 2), *_conv_bn_relu(64, 64, 1), *_conv_bn_relu(64, 128, 1)]
            project = nn.Sequential(nn.Conv2d(128, 64 * block.expansion, 1, bias=False))
            project.append(nn.BatchNorm2d(64 * block.expansion))
            network.layer1[0] = block(128, 64, downsample=project)
        network.maxpool.ceil_mode = kind == "adapmtl"
        self.stem = nn.Sequential(*stem, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])

        self.channels = tuple(64 * 2**stage * block.expansion for stage in range(4))
        self.strides = _dilate(self.stages, _STRIDES[output_stride], first_block=kind != "torchvision")
        for conv in (module for module in self.modules() if isinstance(module, nn.Conv2d)):
            if kind == "papers":
                conv.reset_parameters()
            elif kind == "adapmtl":
                nn.init.normal_(conv.weight, std=0.01)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        y = self.stem(image)
        for stage in self.stages:
            y = stage(y)
            features.append(y)
        return features


def _conv_bn_relu(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _dilate(stages: nn.ModuleList, strides: tuple[int, ...], *, first_block: bool) -> tuple[int, ...]:
    """Give every stage its stride, the rest of its usual stride of 2 becoming dilation; returns the maps'
    strides.

    torchvision can build this for bottlenecks only, hence the change of the built modules.
    `first_block`: whether a stage's first block already has the stage's dilation, not the previous stage's.
    """
    dilation, total, totals = 1, 4, []
    for index, (stage, stride) in enumerate(zip(stages, strides, strict=True)):
        previous = dilation
        if index > 0 and stride == 1:
            dilation *= 2
        total *= stride
        totals.append(total)
        for position, block in enumerate(stage.children()):
            early = position == 0 and not first_block
            for conv in block.modules():
                if isinstance(conv, nn.Conv2d):
                    _set_grid(conv, stride, previous if early else dilation)
    return tuple(totals)


def _set_grid(conv: nn.Conv2d, stride: int, dilation: int) -> None:
    if conv.stride != (1, 1):
        conv.stride = (stride, stride)
    if conv.kernel_size == (3, 3):
        conv.dilation = conv.padding = (dilation, dilation)
