"""Built-in backbones."""

from __future__ import annotations

from msbench.api import Backbone, hookimpl
from msbench_plugins.backbones.chain import VGG16, MobileNetV2
from msbench_plugins.backbones.convnext import ConvNeXt
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.backbones.timm_features import Timm


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [SmallResNet, ResNet, MobileNetV2, VGG16, ConvNeXt, Timm]
