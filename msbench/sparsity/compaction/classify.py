"""Which rule governs each operation of a traced network."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.facts import Facts
from msbench.sparsity.compaction.layout import Concat, Permute
from msbench.sparsity.compaction.opaque import Opaque
from msbench.sparsity.compaction.rules import Affine, Binary, Channelwise, Known, Rule
from msbench.sparsity.compaction.sizes import Size, SizeArithmetic
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


def classify(traced: fx.GraphModule, shapes: Shapes, elsewhere: Shapes) -> tuple[dict[fx.Node, Rule], Known]:
    """A rule for every node, in the graph's order, and what is known of its channels.

    shapes, elsewhere: on two images that differ in number and size. `Opaque` for whatever no other rule is sure about.
    """
    counts = call_counts(traced)
    rules: dict[fx.Node, Rule] = {}
    known: dict[fx.Node, Facts | None] = {}
    for node in traced.graph.nodes:
        rules[node] = _Classifier(node, traced, shapes, elsewhere, counts, known).rule()
        known[node] = rules[node].facts(known)
    return rules, known


class _Classifier:
    """Finds the rule of one node. shape: of its output, None without channels; source: facts of its first
    argument, None without channels."""

    def __init__(
        self,
        node: fx.Node,
        traced: fx.GraphModule,
        shapes: Shapes,
        elsewhere: Shapes,
        counts: Counter[str],
        known: Known,
    ) -> None:
        self.node, self.traced, self.counts, self.known, self.elsewhere = node, traced, counts, known, elsewhere
        self.tensors = {key for key, shape in shapes.items() if shape is not None}
        self.shapes = {key: shape for key, shape in shapes.items() if shape is not None and len(shape) >= 2}
        self.shape = self.shapes.get(node)
        self.source = self._facts(node.args[0]) if node.args else None

    def rule(self) -> Rule:
        node = self.node
        if node.op == "get_attr":
            return Opaque(node, self._attribute(node), None)
        if node.op in ("placeholder", "output"):
            return Opaque(node, None, self._all_dynamic())
        if node.op == "call_module":
            module = self.traced.get_submodule(str(node.target))
            plain = self.source and self.shape and len(node.all_input_nodes) == 1 and not node.kwargs
            rule = (self._layer(module) or self._activation(module) or self._resizing(module)) if plain else None
            return rule or self._opaque(module, type(module).__name__)
        rule = self._size() or self._arithmetic() or self._layout() or self._function()
        return rule or self._opaque(None, getattr(node.target, "__name__", str(node.target)))

    def _opaque(self, module: nn.Module | None, kind: str) -> Opaque:
        return Opaque(self.node, module, self._all_dynamic(), f"{self.node.name} ({kind})" if self.shape else "")

    def _all_dynamic(self) -> Facts | None:
        """Facts of any output: None unless its first dimension is the batch and another keeps its size on
        every image, as channels do. That is looked for where the input has its channels, then second."""
        shape, other = self.shape, self.elsewhere.get(self.node)
        if shape is None or other is None or other[0] != shape[0] + 1:
            return None
        dims = [1] if self.source is None or self.source.ndim != len(shape) else [self.source.dim, 1]
        dim = next((dim for dim in dims if shape[dim] == other[dim]), None)
        return None if dim is None else Facts.dynamic(shape[dim], len(shape), dim)

    def _layer(self, module: nn.Module) -> Rule | None:
        if self.counts[str(self.node.target)] > 1:
            return None
        assert self.source is not None
        assert self.shape is not None
        ndim, dim = self.source.ndim, self.source.dim
        if isinstance(module, _CONVOLUTIONS) and dim == 1 and ndim == module.weight.ndim:
            return Weighted(self.node, module)
        if isinstance(module, nn.Linear) and dim == ndim - 1:
            return Weighted(self.node, module)
        if isinstance(module, _BATCH_NORMS) and dim == 1 and module.running_mean is not None:
            return Affine(self.node, module, len(self.shape))
        return None

    def _activation(self, module: nn.Module) -> Rule | None:
        if not isinstance(module, _ACTIVATIONS):
            return None
        return self._channelwise(module, uniform=module, resizes=False)

    def _resizing(self, module: nn.Module) -> Rule | None:
        if not self._channels_first():
            return None
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
        if not self._channels_first():
            return None
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
        assert self.source is not None
        ndim = self.source.ndim
        return bool(dims) and all(isinstance(dim, int) and dim % ndim >= 2 for dim in dims)

    def _channels_first(self) -> bool:
        return self.source is not None and self.source.dim == 1

    def _is_vector(self) -> bool:
        source: Any = self.node.args[0]
        return self.source is not None and all(size == 1 for size in self.shapes[source][2:])

    def _facts(self, operand: object) -> Facts | None:
        return self.known.get(operand) if isinstance(operand, fx.Node) else None

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
        values = [self._facts(x) for x in node.all_input_nodes if x.op != "get_attr"]
        like = next((facts for facts in values if facts is not None and facts.ndim == len(self.shape)), None)
        operands: Any = [None] if like is None else [self._operand(x, like) for x in node.args]
        if any(x is None for x in operands):
            return None
        return Binary(node, _ARITHMETIC[node.target], operands, len(self.shape))

    def _operand(self, operand: Any, like: Facts) -> fx.Node | Tensor | float | None:
        """An operand beside one with the facts `like`: a value of the same channels, numbers [C], a number, or
        None for any other."""
        if isinstance(operand, (int, float)):
            return operand
        facts = self._facts(operand)
        if isinstance(operand, fx.Node) and operand.op == "get_attr":
            return self._numbers(self._attribute(operand), like)
        alike = facts is not None and (facts.ndim, facts.dim, facts.size) == (like.ndim, like.dim, like.size)
        return operand if alike else None

    def _numbers(self, constant: Tensor, like: Facts) -> Tensor | None:
        """The numbers [C] that a constant holds if it is the same everywhere in a channel."""
        sizes = [1] * (like.ndim - constant.ndim) + list(constant.shape)
        if len(sizes) != like.ndim or any(size != 1 for dim, size in enumerate(sizes) if dim != like.dim):
            return None
        return constant.detach().flatten().expand(like.size) if sizes[like.dim] in (1, like.size) else None

    def _attribute(self, node: fx.Node) -> Tensor:
        owner, _, name = str(node.target).rpartition(".")
        return getattr(self.traced.get_submodule(owner), name)

    def _layout(self) -> Rule | None:
        if self.shape is None:
            return None
        if self.node.target in (torch.cat, torch.concat):
            return self._concat(len(self.shape))
        order = self._order() if self.source is not None and not self.node.kwargs else None
        return Permute(self.node, self.node.args[0], order) if order and order[0] == 0 else None  # type: ignore[arg-type]

    def _concat(self, ndim: int) -> Rule | None:
        sources: Any = self.node.args[0]
        dim = self._second("dim")
        facts = [self._facts(source) for source in sources]
        known = isinstance(dim, int) and all(found and (found.ndim, found.dim) == (ndim, dim % ndim) for found in facts)
        return Concat(self.node, list(sources)) if known else None

    def _order(self) -> list[int] | None:
        """The order of dimensions of a permutation or transposition; None for any other operation."""
        assert self.source is not None
        target, dims, ndim = self.node.target, self.node.args[1:], self.source.ndim
        order: list[Any] = list(range(ndim))
        if target in (torch.permute, "permute"):
            wanted: Any = dims[0] if len(dims) == 1 else dims
            return [dim % ndim for dim in wanted]
        if target in (torch.transpose, "transpose"):
            first, second = (int(dim) % ndim for dim in dims)  # type: ignore[arg-type]
            order[first], order[second] = second, first
            return order
        return None


def _unchanged(values: Tensor) -> Tensor:
    return values
