"""Fewer allocations: results that nobody else reads are overwritten by the next operation."""

from __future__ import annotations

import copy
import operator

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.tracing import Shapes, fold, shapes, trace

_ADDITIONS = (operator.add, operator.iadd, torch.add)


@torch.no_grad()
def fold_batchnorm(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `model` in eval mode that computes the same in the way that a compact network does.

    That is, batch-norms folded into the convolutions before them and fresh results overwritten in place. The
    dense network is timed in this form, so that what needs no sparsity is not credited to it. A model that
    torch.fx cannot trace is copied as it is, which is what `compact` does with it. example [B, 3, H, W]: any
    image.
    """
    duplicate = copy.deepcopy(model).eval()
    try:
        traced = trace(duplicate)
    except Exception:  # tracing runs the model's own code, which may raise anything
        return duplicate
    fold(traced)
    overwrite(traced, example)
    return traced.eval()


def overwrite(traced: fx.GraphModule, example: Tensor) -> None:
    """Let ReLU and additions write into an input that is newly allocated and that nobody else reads."""
    known = shapes(traced, example)
    for node in list(traced.graph.nodes):
        if _is_relu(node, traced):
            if _is_spare(node.args[0], traced):
                with traced.graph.inserting_before(node):
                    result = traced.graph.call_function(F.relu, (node.args[0],), {"inplace": True})
                node.replace_all_uses_with(result)
                known[result] = known[node]
                traced.graph.erase_node(node)
        elif node.target in _ADDITIONS and not node.kwargs:
            first, second = node.args
            if _is_spare(first, traced) and _same_grid(first, second, known):
                node.target = operator.iadd
            elif _is_spare(second, traced) and _same_grid(second, first, known):
                node.target, node.args = operator.iadd, (second, first)
    traced.delete_all_unused_submodules()
    traced.recompile()


def _is_relu(node: fx.Node, traced: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return type(traced.get_submodule(str(node.target))) is nn.ReLU
    return node.target in (F.relu, torch.relu)


def _is_spare(value: object, traced: fx.GraphModule) -> bool:
    """Whether a value is newly allocated by its operation, and read once."""
    if not isinstance(value, fx.Node) or len(value.users) != 1:
        return False
    if value.op == "call_module":
        return isinstance(traced.get_submodule(str(value.target)), (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))
    return value.target in _ADDITIONS


def _same_grid(written: object, read: object, known: Shapes) -> bool:
    """Whether two values have one shape on every image: on the example's, and on a grid of several pixels."""
    if not isinstance(written, fx.Node) or not isinstance(read, fx.Node):
        return False
    shape, other = known.get(written), known.get(read)
    return shape is not None and other is not None and shape[1:] == other[1:] and min(shape[2:], default=2) > 1
