"""Any network of the timm library that gives feature maps, by its name there."""

from __future__ import annotations

import difflib
import importlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from torch import Tensor, nn

from msbench.api import BackboneModule, UserError, import_torchvision
from msbench_plugins.backbones.strides import check_output_stride
from msbench_plugins.backbones.weights import FileBackbone


@dataclass
class Timm(FileBackbone):
    """A timm network without its classifier, freshly initialised (never downloaded): all maps that timm gives for it.

    `-m timm/NAME` is short for `-m timm model.backbone.model=NAME`. Networks that take images of one size only are
    refused.

    model: a name of `timm.list_models()`, such as resnet10t, efficientnet_b0, regnetx_002 or convnext_atto.
    output_stride: 8, 16 or 32 input pixels per pixel of the last map; below 32 only where timm can dilate the network.
    """

    name: ClassVar[str] = "timm"
    paper: ClassVar[str] = "Wightman. PyTorch image models. 2019"
    packages: ClassVar[tuple[str, ...]] = ("timm",)
    model: str = "resnet18"
    output_stride: int = 32

    def __post_init__(self) -> None:
        check_output_stride(self.output_stride)
        known = _timm().list_models()
        if self.model in known:
            return
        if self.model.partition(".")[0] in known:
            raise UserError(
                f"model.backbone.model={self.model}: the tag names weights to download; write "
                f"{self.model.partition('.')[0]}, and model.backbone.weights=FILE for weights of your own"
            )
        close = ", ".join(difflib.get_close_matches(self.model, known, n=3, cutoff=0.4))
        raise UserError(f"model.backbone.model={self.model}: not a network of timm; nearest: {close or 'none'}")

    def fresh(self) -> BackboneModule:
        timm = _timm()
        where = f"model.backbone.model={self.model}"
        config = timm.get_pretrained_cfg(self.model)
        if config is not None and config.fixed_input_size:
            side = config.input_size[-1]
            raise UserError(f"{where}: it takes images of one size only ({side}x{side})")
        options = {} if self.output_stride == 32 else {"output_stride": self.output_stride}
        try:
            network = timm.create_model(self.model, pretrained=False, features_only=True, **options)
        except (RuntimeError, TypeError, AssertionError, AttributeError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]  # a bare assertion says nothing
            raise UserError(f"{where}: timm gives no feature maps of it: {why}") from error
        strides = network.feature_info.reduction()
        if max(strides) > self.output_stride:
            raise UserError(f"{where}: timm cannot hold it at output stride {self.output_stride}, only {max(strides)}")
        return _Features(network)

    def aliases(self, key: str) -> Iterable[str]:
        """Names in timm's state dict of the whole network: its feature networks join the first two parts by `_`."""
        original = key.removeprefix("features.").replace(".norm_of_act.", ".")
        first, dot, rest = original.partition(".")
        dotted = [first[:i] + "." + first[i + 1 :] + dot + rest for i, letter in enumerate(first) if letter == "_"]
        return [original, *dotted]


class _Features(BackboneModule):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.channels = tuple(network.feature_info.channels())
        self.strides = tuple(network.feature_info.reduction())
        _split_norm_and_activation(network)
        self.features: nn.Module = network

    def forward(self, image: Tensor) -> list[Tensor]:
        return list(self.features(image))


def _split_norm_and_activation(network: nn.Module) -> None:
    """timm's fused batch-norm and activation as two layers, in place: so that batch-norm can be folded and scored."""
    fused = importlib.import_module("timm.layers").BatchNormAct2d
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is fused:
                setattr(parent, name, _split(child))


def _split(fused: Any) -> nn.Sequential:
    norm = nn.BatchNorm2d(fused.num_features, fused.eps, fused.momentum, fused.affine)
    norm.load_state_dict(fused.state_dict())
    return nn.Sequential(OrderedDict(norm_of_act=norm, drop=fused.drop, act=fused.act))


def _timm() -> ModuleType:
    import_torchvision()
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UserError("model.backbone.name=timm: the library is not installed: pip install msbench[timm]") from error
