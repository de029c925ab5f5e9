"""Built-in heads."""

from __future__ import annotations

from msbench.api import Head, hookimpl
from msbench_plugins.heads.aspp import SummedASPP
from msbench_plugins.heads.deeplab import DeepLabV3
from msbench_plugins.heads.light import LightDense, TwoLayer
from msbench_plugins.heads.vector import ConvTwoLayer


@hookimpl
def msbench_heads() -> list[type[Head]]:
    return [LightDense, TwoLayer, DeepLabV3, SummedASPP, ConvTwoLayer]
