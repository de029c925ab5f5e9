"""From a module to a flat graph of its operations: traced, batch-norm folded, shapes known."""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.fusion import fuse_conv_bn_eval

Shapes = dict[fx.Node, tuple[int, ...] | None]
"""Graph node to its shape on the example; None for what is not a tensor."""


def trace(model: nn.Module) -> fx.GraphModule:
    """The operations of `model`, set to eval mode first, on one image; other arguments keep their defaults.

    Raises whatever torch.fx raises where the forward cannot be traced, as with a branch on a tensor's value.
    """
    model.eval()
    parameters = list(inspect.signature(model.forward).parameters.values())
    fixed = {p.name: p.default for p in parameters[1:] if p.default is not inspect.Parameter.empty}
    traced = fx.Tracer().trace(model, concrete_args=fixed)

    # fx keeps a fixed argument as an input with an assertion about it: leave both out
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    extra = set([node for node in traced.nodes if node.op == "placeholder"][1:])
    for node in traced.nodes:
        if extra.intersection(node.all_input_nodes):
            extra.add(node)
        if node not in extra:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    flat = fx.GraphModule(model, graph)
    _resolve_overwriting(flat)
    flat.graph.eliminate_dead_code()
    return flat


def call_counts(traced: fx.GraphModule) -> Counter[str]:
    """How often each module is called in one forward."""
    return Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")


def fold(traced: fx.GraphModule) -> None:
    """Fold each batch-norm into the convolution before it, in place, where nobody else reads that."""
    counts = call_counts(traced)
    for node in list(traced.graph.nodes):
        if not _is_foldable(node, traced, counts):
            continue
        source = node.args[0]
        conv: Any = traced.get_submodule(source.target)
        norm: Any = traced.get_submodule(node.target)
        _replace_module(traced, source.target, fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(source)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()


def shapes(traced: fx.GraphModule, example: Tensor) -> Shapes:
    """Every shape on `example` [B, 3, H, W]; nothing is computed unless a shape depends on what is in it."""
    with contextlib.suppress(Exception), FakeTensorMode(allow_non_fake_inputs=True):
        return _noted_shapes(traced, torch.empty(example.shape, dtype=example.dtype, device=example.device))
    return _noted_shapes(traced, example)


@torch.no_grad()
def _noted_shapes(traced: fx.GraphModule, example: Tensor) -> Shapes:
    noted: Shapes = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            noted[n] = tuple(result.shape) if isinstance(result, Tensor) else None
            return result

    Recorder(traced).run(example)
    return noted


def other_shapes(traced: fx.GraphModule, example: Tensor) -> Shapes:
    """The shapes on one image more and, where the network takes that, on a larger grid; nothing is computed.

    Empty if even the shapes depend on what is in the image.
    """
    batch, channels, height, width = example.shape
    for more in (32, 64), (0, 0):
        with contextlib.suppress(Exception), FakeTensorMode(allow_non_fake_inputs=True):
            image = torch.empty(batch + 1, channels, height + more[0], width + more[1], dtype=example.dtype)
            return _noted_shapes(traced, image)
    return {}


def _resolve_overwriting(traced: fx.GraphModule) -> None:
    """Where an operation overwrites its input, let later readers of that input read the result: they get it."""
    position = {node: index for index, node in enumerate(traced.graph.nodes)}
    for node in traced.graph.nodes:
        module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        if getattr(module, "inplace", False) or node.kwargs.get("inplace"):
            for reader in list(node.args[0].users):
                if position[reader] > position[node]:
                    reader.replace_input_with(node.args[0], node)


def _is_foldable(node: fx.Node, traced: fx.GraphModule, counts: Counter[str]) -> bool:
    source = node.args[0] if node.args else None
    if node.op != "call_module" or not isinstance(source, fx.Node) or source.op != "call_module":
        return False
    norm, conv = traced.get_submodule(str(node.target)), traced.get_submodule(str(source.target))
    return (
        isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
        and norm.running_mean is not None
        and isinstance(conv, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
        and len(source.users) == 1
        and counts[str(node.target)] == counts[str(source.target)] == 1
    )


def _replace_module(traced: fx.GraphModule, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(traced.get_submodule(parent), child, module)
