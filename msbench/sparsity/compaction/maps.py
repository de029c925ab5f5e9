"""Parts of the compact network that depend on the image's size only, computed once a size."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor


class SizeMaps(nn.Module):
    """Calls `maps` and keeps its results (maps, sizes of grids) for the last image size, dtype and device.

    Nothing is kept while gradients are recorded, while the network is being exported or compiled, or where only
    shapes are asked for. What was kept goes when weights are loaded or the module moves.
    """

    def __init__(self, maps: nn.Module) -> None:
        super().__init__()
        self.maps = maps
        self._kept: tuple[Any, tuple[Any, ...]] | None = None

    def forward(self, image: Tensor) -> tuple[Any, ...]:
        exporting = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        if torch.is_grad_enabled() or exporting or isinstance(image, FakeTensor):
            self._kept = None
            return self.maps(image)
        key = (image.shape[2:], image.dtype, image.device)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self.maps(image))
        return self._kept[1]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> SizeMaps:
        self._kept = None
        super()._apply(fn, recurse)
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._kept = None
        super()._load_from_state_dict(*args, **kwargs)


def hoist(graph: fx.Graph, attributes: dict[str, nn.Module | Tensor]) -> None:
    """Move the static operations (meta["static"]) into one `SizeMaps`, whose results the others read."""
    static = [node for node in graph.nodes if node.meta["static"]]
    read = [
        node
        for node in static
        if node.op != "get_attr" and not node.meta.get("free") and any(not user.meta["static"] for user in node.users)
    ]
    if not read:
        return

    image = next(iter(graph.nodes))
    inner = fx.Graph()
    copies = {image: inner.placeholder(image.name)}
    for node in static:
        copies[node] = inner.node_copy(node, copies.__getitem__)
    inner.output(tuple(copies[node] for node in read))
    inner.eliminate_dead_code(_is_kept)

    attributes["size_maps"] = SizeMaps(fx.GraphModule(attributes, inner))
    with graph.inserting_after(image):
        results = graph.call_module("size_maps", (image,))
    with graph.inserting_after(results):
        for index, node in enumerate(read):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (results, index)))


def _is_kept(node: fx.Node) -> bool:
    return node.op in ("placeholder", "output")


def finish(graph: fx.Graph, attributes: dict[str, nn.Module | Tensor]) -> fx.GraphModule:
    """The module of a complete graph: dead operations gone, static ones hoisted."""
    graph.eliminate_dead_code(_is_kept)
    hoist(graph, attributes)
    graph.eliminate_dead_code(_is_kept)
    graph.lint()
    return fx.GraphModule(attributes, graph)
