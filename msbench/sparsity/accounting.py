"""How sparse a network is: by weights, by groups, by layer and by component."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from msbench.sparsity.costs import Costs
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask


@dataclass(frozen=True)
class Accounting:
    """Sparsity is 1 - kept / all, a share in [0, 1].

    parameters: over the convolution and linear weights of the scope. groups: over its groups; a group counts as
    removed when none of its weights is kept. per_layer: layer of the scope to its weights' sparsity.
    per_component: the same over the weights of "backbone" and of each "heads.TASK", in scope or not.
    channels: layer of the scope to (kept, all) input channels. by_unit: over the scope, in each unit that was priced.
    """

    parameters: float
    groups: float
    per_layer: dict[str, float]
    per_component: dict[str, float]
    channels: dict[str, tuple[int, int]]
    by_unit: dict[str, float] = field(default_factory=dict)


def account(model: nn.Module, mask: Mask, groups: Groups, prices: Sequence[Costs] = ()) -> Accounting:
    """The sparsity of `model` under `mask`, over the scope that `groups` covers.

    Layers that the mask does not name are whole. An unstructured mask is counted by element. prices: further units to
    count in.
    """
    everywhere = Groups.of(model, "model").layers
    components: dict[str, list[GroupLayer]] = {}
    for layer in everywhere:
        components.setdefault(_component(layer.name), []).append(layer)

    channels = {layer.name: (_kept_groups(layer, mask), layer.count) for layer in groups.layers}
    kept, total = (sum(counts) for counts in zip(*channels.values(), strict=True)) if channels else (0, 0)
    return Accounting(
        parameters=_sparsity(groups.layers, mask),
        groups=1 - kept / total if total else 0.0,
        per_layer={layer.name: _sparsity([layer], mask) for layer in groups.layers},
        per_component={name: _sparsity(layers, mask) for name, layers in components.items()},
        channels=channels,
        by_unit={unit.unit: 1 - unit.of_mask(groups, mask) / max(unit.total, 1) for unit in prices},
    )


def nonzero_mask(model: nn.Module) -> Mask:
    """Which weights are not exactly zero now, by element: `account` then counts what is there, not what was meant."""
    layers = Groups.of(model, "model")
    return Mask({name: weight.detach() != 0 for name, weight in layers.parameters(model).items()})


def _component(layer: str) -> str:
    parts = layer.split(".")
    return ".".join(parts[:2]) if parts[0] == "heads" else parts[0]


def _sparsity(layers: Iterable[GroupLayer], mask: Mask) -> float:
    layers = list(layers)
    total = sum(layer.weights for layer in layers)
    kept = sum(_kept_weights(layer, mask) for layer in layers)
    return 1 - kept / total if total else 0.0


def _kept_weights(layer: GroupLayer, mask: Mask) -> int:
    kept = mask.get(layer.name)
    if kept is None:
        return layer.weights
    return int(kept.sum()) * (layer.size if kept.ndim == 1 else 1)


def _kept_groups(layer: GroupLayer, mask: Mask) -> int:
    kept: Tensor | None = mask.get(layer.name)
    if kept is None:
        return layer.count
    return int(kept.sum() if kept.ndim == 1 else kept.transpose(0, 1).flatten(1).any(1).sum())
