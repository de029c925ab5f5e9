"""Built-in backbones."""

from __future__ import annotations

from msbench.api import Backbone, hookimpl
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.backbones.small_resnet import SmallResNet


@hookimpl
def msbench_backbones() -> list[type[Backbone]]:
    return [SmallResNet, ResNet]
