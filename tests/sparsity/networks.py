"""Small networks for compaction's tests, with weights and statistics under which no constant is zero."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msbench.api import import_torchvision
from msbench.models.multitask import MultiTaskModel
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.heads.deeplab import DeepLabV3
from msbench_plugins.heads.light import LightDense, TwoLayer


@torch.no_grad()
def unsettle(model: nn.Module, seed: int) -> nn.Module:
    """Random batch-norms and biases; weights large enough that outputs vary over the image."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for value, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.bias, -0.5)):
                value.copy_(torch.rand(value.shape, generator=generator) + low)
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator))
    return model.eval()


def residual() -> nn.Module:
    """Basic blocks at three scales; a top-down head, an atrous pyramid, and a vector head."""
    backbone = SmallResNet(width=4, blocks=1).build()
    heads = {
        "seg": LightDense(width=5).build(backbone, 3),
        "depth": DeepLabV3(width=3, rates=(1, 2)).build(backbone, 1),
        "attr": TwoLayer(width=6).build(backbone, 2),
    }
    return MultiTaskModel(backbone, heads, ["seg", "depth"])


class Bottlenecks(nn.Module):
    """torchvision's bottleneck blocks, dilated, behind a stem with max-pooling; activations in place."""

    def __init__(self) -> None:
        super().__init__()
        block = import_torchvision().models.resnet.Bottleneck
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        project = nn.Sequential(nn.Conv2d(6, 12, 1, 2, bias=False), nn.BatchNorm2d(12))
        blocks = [block(6, 3, 2, project), block(12, 3, dilation=2), block(12, 3, dilation=4)]
        self.blocks = nn.Sequential(*blocks)
        self.predict = nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"seg": self.predict(self.blocks(self.stem(image)))}


class PreActivation(nn.Module):
    """Batch-norm before convolution, a gate, pooling that pads, concatenated scales, sizes read from values."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding="same", dilation=2, bias=False)
        self.gate = nn.Conv2d(6, 6, 1)
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.deep = nn.Conv2d(6, 5, 3, padding=1, padding_mode="reflect")
        self.predict = nn.Conv2d(11, 2, 3, 1, 0)
        self.vector = nn.Linear(5, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.first(image)
        x = x + self.second(F.leaky_relu(self.norm(x), 0.1))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1))) + 0.25
        y = F.gelu(self.deep(self.pool(F.relu(x))))
        _, _, height, width = x.shape
        both = torch.cat([x, F.interpolate(y, size=(height, width), mode="nearest")], dim=1)
        return {"dense": self.predict(both), "vector": self.vector(y.mean((2, 3)))}


class Unruly(nn.Module):
    """What no rule is sure about: grouped, shared and transposed convolutions, group-norm, a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.grouped = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.shared = nn.Conv2d(6, 6, 1)
        self.norm = nn.GroupNorm(2, 6)
        self.up = nn.ConvTranspose2d(6, 4, 2, 2)
        self.scale = nn.Parameter(torch.rand(1, 4, 1, 1))
        self.predict = nn.Conv2d(4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.grouped(F.relu(self.first(image)))
        x = self.norm(self.shared(F.relu(self.shared(x))))
        batch, _, height, width = x.size()
        x = x.view(batch, 6, height * width).flip(1).view(batch, 6, height, width)
        return self.predict(F.relu(self.up(x)) * self.scale)


class Overwriting(nn.Module):
    """An in-place activation whose input is read again afterwards: that reader gets the activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        y = self.relu(x)
        return self.second(y + x)


class Branching(nn.Module):
    """A branch on a value, which torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.first(image) if image.sum() > 0 else self.first(-image)
