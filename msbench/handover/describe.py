"""A compact network as data: its layers, operations and tensors, in the form that `loader.py` reads."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from msbench.handover.errors import HandOverError
from msbench.handover.loader import CALLS, LAYERS
from msbench.sparsity.compaction.maps import SizeMaps

_NAMES = {function: name for name, function in CALLS.items()}


@dataclass
class Description:
    """layers, operations, image and outputs as `loader.py` documents them; tensors: the network's state by name."""

    image: str
    layers: dict[str, Any] = field(default_factory=dict)
    operations: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    outputs: Any = None


def describe(network: fx.GraphModule) -> Description:
    """The description of what `compact` has built. HandOverError names an operation that the format has no word for."""
    image = next(node for node in network.graph.nodes if node.op == "placeholder")
    writer = _Writer(Description(image.name))
    writer.description.outputs = writer.walk(network, {image: {"value": image.name}}, once_per_size=False)
    return writer.description


class _Writer:
    def __init__(self, description: Description) -> None:
        self.description = description

    def walk(self, network: fx.GraphModule, known: dict[fx.Node, Any], *, once_per_size: bool) -> Any:
        """Describe the operations of one graph; returns its outputs. known: what already stands for a node."""
        maps: dict[fx.Node, Any] = {}
        for node in network.graph.nodes:
            if node.op == "output":
                return self.argument(node, node.args[0], known)
            module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
            if isinstance(module, SizeMaps):
                assert isinstance(module.maps, fx.GraphModule)
                inner = next(node for node in module.maps.graph.nodes if node.op == "placeholder")
                maps[node] = self.walk(module.maps, {inner: {"value": self.description.image}}, once_per_size=True)
            elif node.op == "call_function" and node.args and node.args[0] in maps:
                known[node] = maps[node.args[0]]["tuple"][node.args[1]]
            elif node.op == "get_attr":
                known[node] = {"tensor": self.tensor(str(node.target), _attribute(network, str(node.target)))}
            elif node not in known:
                prefix = "size_maps." if once_per_size else ""
                known[node] = self.operation(node, module, known, prefix, once_per_size)
        raise AssertionError("a graph ends with its output")

    def operation(
        self, node: fx.Node, module: nn.Module | None, known: Mapping[fx.Node, Any], prefix: str, once_per_size: bool
    ) -> dict[str, Any]:
        args: Any = node.args
        if module is not None:
            call = {"call": "layer", "layer": self.layer(str(node.target), module)}
        else:
            call = {"call": _name_of(node)}
            args = args[:1] if call["call"] == "shape" else args
        result = prefix + node.name
        self.description.operations.append(
            {
                "result": result,
                **call,
                "arguments": [self.argument(node, argument, known) for argument in args],
                "options": {name: self.argument(node, option, known) for name, option in node.kwargs.items()},
                "once_per_size": once_per_size,
            }
        )
        return {"value": result}

    def layer(self, name: str, module: nn.Module) -> str:
        kind = type(module).__name__
        if kind not in LAYERS or type(module) is not getattr(nn, kind, None):
            raise HandOverError(f"{name}: the torch format has no layer {kind}; use onnx or pt2")
        self.description.layers[name] = {"kind": kind, "settings": _settings(module)}
        for key, value in module.state_dict().items():
            self.tensor(f"{name}.{key}", value)
        return name

    def tensor(self, name: str, value: Tensor) -> str:
        before = self.description.tensors.setdefault(name, value.detach().cpu())
        if not torch.equal(before, value.detach().cpu()):
            raise HandOverError(f"{name}: two tensors of one name")
        return name

    def argument(self, node: fx.Node, value: Any, known: Mapping[fx.Node, Any]) -> Any:
        """An argument of `node` in the form of JSON."""
        if isinstance(value, fx.Node):
            return known[value]
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, (list, tuple)):
            items = [self.argument(node, item, known) for item in value]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, dict) and node.op == "output":
            return {"table": {name: self.argument(node, item, known) for name, item in value.items()}}
        if isinstance(value, slice):
            return {"slice": [self.argument(node, item, known) for item in (value.start, value.stop, value.step)]}
        if value is ...:
            return {"ellipsis": []}
        raise HandOverError(f"{node.name}: the torch format has no argument {value!r:.60}; use onnx or pt2")


def _name_of(node: fx.Node) -> str:
    """What the format calls an operation."""
    target: Any = node.target
    if target is getattr:
        name = "shape" if node.args[1] == "shape" else ""
    else:
        name = f"method.{target}" if node.op == "call_method" else _NAMES.get(target, "")
    if name not in CALLS:
        raise HandOverError(f"{node.name}: the torch format has no operation {getattr(target, '__name__', target)}")
    return name


def _settings(module: nn.Module) -> dict[str, Any]:
    """The constructor's arguments that differ from their defaults."""
    found = {}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        value = getattr(module, name, parameter.default)
        value = value is not None if name == "bias" else value
        if name not in ("device", "dtype") and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            same = type(value) is type(parameter.default) and value == parameter.default
            if not same:
                found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _attribute(network: nn.Module, name: str) -> Tensor:
    owner, _, last = name.rpartition(".")
    value: Tensor = getattr(network.get_submodule(owner), last)
    return value
