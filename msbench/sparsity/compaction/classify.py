"""Which rule governs each operation of a traced network."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.rules import Affine, Binary, Channelwise, Concat, Opaque, Rule, Size, SizeArithmetic
from msbench.sparsity.compaction.tracing import Shapes, call_counts
from msbench.sparsity.compaction.weighted import Weighted

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.LogSigmoid, nn.Identity),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
)
_ACTIVATION_FUNCTIONS = {
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.sigmoid, F.tanh, F.hardtanh),
    *(F.hardswish, F.hardsigmoid, F.softplus, F.logsigmoid),
    *(torch.relu, torch.sigmoid, torch.tanh, torch.abs, torch.exp, torch.clamp),
}
_ACTIVATION_METHODS = {"relu", "sigmoid", "tanh", "abs", "exp", "clamp", "contiguous", "clone"}
_DROPOUT_FUNCTIONS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d}
_EVEN_RESIZING = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
)
_EVEN_RESIZING_FUNCTIONS = {
    F.interpolate,
    F.adaptive_avg_pool1d,
    F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d,
}
_MAX_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
_MAX_POOL_FUNCTIONS = {
    *(F.max_pool1d, F.max_pool2d, F.max_pool3d),
    *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
}
_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_AVERAGE_POOL_FUNCTIONS = {F.avg_pool1d, F.avg_pool2d, F.avg_pool3d}
_ARITHMETIC: dict[Any, Callable[[Any, Any], Any]] = {
    **dict.fromkeys((operator.add, torch.add, "add"), operator.add),
    **dict.fromkeys((operator.sub, torch.sub, "sub"), operator.sub),
    **dict.fromkeys((operator.mul, torch.mul, "mul"), operator.mul),
    **dict.fromkeys((operator.truediv, torch.div, "div"), operator.truediv),
}


def classify(traced: fx.GraphModule, shapes: Shapes) -> dict[fx.Node, Rule]:
    """A rule for every node, in the graph's order; `Opaque` for whatever no other rule is sure about."""
    counts = call_counts(traced)
    return {node: _Classifier(node, traced, shapes, counts).rule() for node in traced.graph.nodes}


class _Classifier:
    """Finds the rule of one node. shape, source: of its output and its first argument, None without channels."""

    def __init__(self, node: fx.Node, traced: fx.GraphModule, shapes: Shapes, counts: Counter[str]) -> None:
        self.node, self.traced, self.counts = node, traced, counts
        self.tensors = {key for key, shape in shapes.items() if shape is not None}
        self.shapes = {key: shape for key, shape in shapes.items() if shape is not None and len(shape) >= 2}
        self.shape = self.shapes.get(node)
        self.source = self.shapes.get(node.args[0]) if node.args and isinstance(node.args[0], fx.Node) else None

    def rule(self) -> Rule:
        node = self.node
        if node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            return Opaque(node, getattr(self.traced.get_submodule(owner), name), self.shape)
        if node.op in ("placeholder", "output"):
            return Opaque(node, None, self.shape)
        if node.op == "call_module":
            module = self.traced.get_submodule(str(node.target))
            plain = self.source and self.shape and len(node.all_input_nodes) == 1 and not node.kwargs
            rule = (self._layer(module) or self._activation(module) or self._resizing(module)) if plain else None
            return rule or self._opaque(module, type(module).__name__)
        rule = self._size() or self._arithmetic() or self._concat() or self._function()
        return rule or self._opaque(None, getattr(node.target, "__name__", str(node.target)))

    def _opaque(self, module: nn.Module | None, kind: str) -> Opaque:
        return Opaque(self.node, module, self.shape, f"{self.node.name} ({kind})" if self.shape else "")

    def _layer(self, module: nn.Module) -> Rule | None:
        if self.counts[str(self.node.target)] > 1:
            return None
        assert self.source is not None
        assert self.shape is not None
        ndim = len(self.source)
        if isinstance(module, _CONVOLUTIONS) and module.groups == 1 and ndim == module.weight.ndim:
            return Weighted(self.node, module)
        if isinstance(module, nn.Linear) and ndim == 2:
            return Weighted(self.node, module)
        if isinstance(module, _BATCH_NORMS) and module.running_mean is not None:
            return Affine(self.node, module, len(self.shape))
        return None

    def _activation(self, module: nn.Module) -> Rule | None:
        if not isinstance(module, _ACTIVATIONS):
            return None
        return self._channelwise(module, uniform=module, resizes=False)

    def _resizing(self, module: nn.Module) -> Rule | None:
        if isinstance(module, _AVERAGE_POOLS):
            padding = module.padding if isinstance(module.padding, tuple) else (module.padding,)
            even = not any(padding) and getattr(module, "divisor_override", None) is None
            return self._channelwise(module, uniform=_unchanged if even else None, resizes=True)
        known = isinstance(module, _EVEN_RESIZING)
        known |= isinstance(module, _MAX_POOLS) and not module.return_indices
        known |= isinstance(module, nn.Flatten) and module.start_dim == 1 and self._is_vector()
        return self._channelwise(module, uniform=_unchanged, resizes=True) if known else None

    def _function(self) -> Rule | None:
        node, target = self.node, self.node.target
        if self.source is None or self.shape is None:
            return None
        activations = _ACTIVATION_METHODS if node.op == "call_method" else _ACTIVATION_FUNCTIONS
        if target in activations and node.all_input_nodes == [node.args[0]]:
            return self._channelwise(None, uniform=self._on_numbers, resizes=False)
        if target in _DROPOUT_FUNCTIONS and node.kwargs.get("training") is False:
            return self._channelwise(None, uniform=_unchanged, resizes=False)
        known = target in _EVEN_RESIZING_FUNCTIONS
        known |= target in _MAX_POOL_FUNCTIONS and node.kwargs.get("return_indices") is False
        # kernel and stride only: padding would leave a border
        known |= target in _AVERAGE_POOL_FUNCTIONS and len(node.args) <= 3 and not node.kwargs
        known |= target in (torch.mean, torch.amax, "mean", "amax") and self._reduces_space()
        known |= target in (torch.flatten, "flatten") and self._is_vector() and self._second("start_dim") == 1
        return self._channelwise(None, uniform=_unchanged, resizes=True) if known else None

    def _channelwise(
        self, module: nn.Module | None, *, uniform: Callable[[Tensor], Tensor] | None, resizes: bool
    ) -> Rule:
        assert self.shape is not None
        return Channelwise(self.node, module, len(self.shape), uniform=uniform, resizes=resizes)

    def _on_numbers(self, values: Tensor) -> Tensor:
        target: Any = self.node.target
        function = getattr(torch.Tensor, target) if isinstance(target, str) else target
        kwargs = {name: value for name, value in self.node.kwargs.items() if name != "inplace"}
        return function(values, *self.node.args[1:], **kwargs)

    def _second(self, name: str) -> Any:
        return self.node.args[1] if len(self.node.args) > 1 else self.node.kwargs.get(name)

    def _reduces_space(self) -> bool:
        dims = self._second("dim")
        dims = [dims] if isinstance(dims, int) else dims
        ndim = len(self.source or ())
        return bool(dims) and all(isinstance(dim, int) and dim % ndim >= 2 for dim in dims)

    def _is_vector(self) -> bool:
        return self.source is not None and all(size == 1 for size in self.source[2:])

    def _size(self) -> Rule | None:
        is_shape = self.node.target is getattr and self.node.args[1] == "shape"
        is_size = self.node.op == "call_method" and self.node.target == "size" and not self.node.kwargs
        if self.source is not None and (is_shape or is_size):
            return Size(self.node)
        is_operator = getattr(self.node.target, "__module__", "") == "_operator"
        on_sizes = not self.tensors.intersection([self.node, *self.node.all_input_nodes])
        return SizeArithmetic(self.node) if is_operator and on_sizes else None

    def _arithmetic(self) -> Rule | None:
        node = self.node
        if node.target not in _ARITHMETIC or node.kwargs or self.shape is None:
            return None
        operands: Any = node.args
        for operand in operands:
            shape = self.shapes.get(operand) if isinstance(operand, fx.Node) else None
            alike = shape is not None and len(shape) == len(self.shape) and shape[1] == self.shape[1]
            if not alike and not isinstance(operand, (int, float)):
                return None
        return Binary(node, _ARITHMETIC[node.target], operands, len(self.shape))

    def _concat(self) -> Rule | None:
        if self.node.target not in (torch.cat, torch.concat) or self.shape is None:
            return None
        sources: Any = self.node.args[0]
        along_channels = self._second("dim") in (1, 1 - len(self.shape))
        known = all(self.shapes.get(source) is not None for source in sources)
        return Concat(self.node, list(sources)) if along_channels and known else None


def _unchanged(values: Tensor) -> Tensor:
    return values
