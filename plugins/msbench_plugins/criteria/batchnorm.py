"""Network slimming's criterion: the scale of the batch-norm that produces a channel."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn

from msbench.api import Criterion, Trainer, UserError, group_norms
from msbench_plugins.criteria.weights import alive

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_PASSING_MODULES = (
    *(nn.Identity, nn.Flatten, nn.Upsample, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardtanh),
    *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
_PASSING_CALLS = {
    *("relu", "relu_", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "sigmoid", "tanh"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "interpolate", "clone", "contiguous", "detach", "flatten"),
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)),
}
"""Functions and methods that keep channels apart: each output channel depends on its input channel only."""


@dataclass
class BatchNormScale(Criterion):
    """Absolute scale |γ| of the batch-norm whose channel arrives at the group.

    The network is traced, and from each layer's input the walk goes back through activations, pooling, dropout,
    resizing and concatenation to batch-norms; where branches are added, their |γ| add up. In network slimming γ is
    pushed to zero by an L1 penalty while training, which this criterion does not do by itself. Groups that are zero
    already score 0.

    Channels with no batch-norm behind them (the image, a convolution's plain output) have no scale, and slimming
    cannot remove them: they rank above all others, among themselves by magnitude, and go only when nothing else
    is left. Across layers: not normalised; slimming ranks all γ of the network against one threshold.
    """

    name: ClassVar[str] = "bn_scale"
    paper: ClassVar[str] = (
        "Liu, Li, Shen, Huang, Yan and Zhang. Learning efficient convolutional networks through network slimming. "
        "ICCV 2017"
    )

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        counts = {layer.name: layer.count for layer in trainer.groups.layers}
        found = {name: scale.to(trainer.device) for name, scale in input_scales(trainer.model, counts).items()}
        known = torch.cat([scale[~scale.isnan()] for scale in found.values()])
        if not len(known):
            raise UserError(f"criterion {self.name!r}: no prunable layer reads a channel of a batch-norm")
        scores = {}
        for layer in trainer.groups.layers:
            weight = trainer.weights[layer.name].detach()
            unscaled = known.max() + group_norms(weight) / layer.size**0.5
            scores[layer.name] = found[layer.name].where(~found[layer.name].isnan(), unscaled) * alive(weight)
        return scores


@torch.no_grad()
def input_scales(model: nn.Module, counts: Mapping[str, int]) -> dict[str, Tensor]:
    """|γ| behind each input channel of each layer of `counts` (name to number of channels), NaN where there is none."""
    walk = _Walk(model)
    scales = {name: torch.full((count,), torch.nan) for name, count in counts.items()}
    for node in walk.nodes:
        if node.op == "call_module" and node.target in scales:
            found, count = walk.scale(node.args[0]), counts[str(node.target)]
            if found is None:
                continue
            if count % len(found) == 0:  # positions of a flattened map are channels of a linear layer
                scales[str(node.target)] = found.repeat_interleave(count // len(found))
            elif len(found) % count == 0:  # a group takes the same channel of every convolution group
                scales[str(node.target)] = found.view(-1, count).sum(0)
    return scales


class _Walk:
    """From a node of the traced model back to the batch-norms that make its channels."""

    def __init__(self, model: nn.Module) -> None:
        parameters = list(inspect.signature(model.forward).parameters.values())
        fixed = {p.name: p.default for p in parameters[1:] if p.default is not inspect.Parameter.empty}
        try:
            self.nodes = list(fx.Tracer().trace(model, concrete_args=fixed).nodes)
        except Exception as error:  # tracing may fail in any way
            raise UserError(f"criterion 'bn_scale' needs a network that torch.fx can trace: {error}") from error
        self._model = model
        self._known: dict[fx.Node, Tensor | None] = {}

    def scale(self, value: Any) -> Tensor | None:
        """|γ| by channel, NaN for channels without one; None where even the number of channels is unknown."""
        if not isinstance(value, fx.Node):
            return None
        if value not in self._known:
            self._known[value] = self._module(value) if value.op == "call_module" else self._call(value)
        return self._known[value]

    def _module(self, node: fx.Node) -> Tensor | None:
        module = self._model.get_submodule(str(node.target))
        if isinstance(module, _NORMS):
            scale = module.weight
            return torch.ones(module.num_features) if scale is None else scale.detach().abs().cpu()
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            return torch.full((len(module.weight),), torch.nan)
        return self.scale(node.args[0]) if isinstance(module, _PASSING_MODULES) else None

    def _call(self, node: fx.Node) -> Tensor | None:
        if node.op not in ("call_function", "call_method"):
            return None
        name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
        if name in _PASSING_CALLS or (name == "mean" and _over_positions(node)):
            return self.scale(node.args[0])
        if node.target in (operator.add, operator.iadd, torch.add, "add", "add_"):
            return self._sum([argument for argument in node.args if isinstance(argument, fx.Node)])
        if node.target in (torch.cat, torch.concat) and node.kwargs.get("dim", (*node.args, 0)[1]) == 1:
            parts = [self.scale(part) for part in node.args[0]]  # type: ignore[union-attr]
            known = [part for part in parts if part is not None]
            return torch.cat(known) if len(known) == len(parts) else None
        return None

    def _sum(self, branches: list[fx.Node]) -> Tensor | None:
        scales = [scale for branch in branches if (scale := self.scale(branch)) is not None]
        if not scales or len(scales) < len(branches) or len({len(scale) for scale in scales}) > 1:
            return None
        return torch.stack(scales).sum(0)


def _over_positions(node: fx.Node) -> bool:
    """Whether a mean runs over the dimensions after the channels only."""
    dims = node.kwargs.get("dim", (*node.args, None)[1])
    return dims in ((2, 3), [2, 3], (-2, -1), [-2, -1], (-1, -2), [-1, -2])
