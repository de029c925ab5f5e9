"""Compaction: what nobody reads is removed, what depends on nothing is folded, the rest keeps its values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.classify import classify
from msbench.sparsity.compaction.facts import Facts
from msbench.sparsity.compaction.inplace import overwrite
from msbench.sparsity.compaction.maps import finish
from msbench.sparsity.compaction.rules import Opaque, Rule, facts_in
from msbench.sparsity.compaction.tracing import fold, shapes, trace
from msbench.sparsity.compaction.weighted import Weighted
from msbench.sparsity.mask import Mask


@dataclass(frozen=True)
class Report:
    """What compaction did.

    dense_parameters: of the model as it was.
    compact_parameters: numbers that the compact network stores: parameters, folded constants and what is
        left of batch-norm statistics, but not the indices of channel selections.
    channels: layer to its (inputs, outputs) in the compact network; (0, 0) for one that is computed no more.
    whole: operations on channels that were kept whole because no rule is sure about them.
    """

    dense_parameters: int
    compact_parameters: int
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        """Layers that are computed no more: their output is constant, or nobody reads it."""
        return tuple(name for name, sizes in self.channels.items() if sizes == (0, 0))


@dataclass(frozen=True)
class Compaction:
    """The compact network.

    model: in eval mode, with the dtype and device of the model that it was made from.
    exact: the same network in float64, on the CPU, from before its weights were rounded: for `prove`.
    reason: why the network was not shrunk (`model` is then a masked copy); empty when it was.
    """

    model: nn.Module
    exact: nn.Module
    report: Report
    reason: str = ""


@torch.no_grad()
def compact(model: nn.Module, mask: Mask, example: Tensor) -> Compaction:
    """A smaller dense network with the outputs of `model` under `mask`, in eval mode, for any image size.

    model: left untouched, one floating-point dtype. mask: structured or not; of an unstructured one, only
    filters and input channels that are zero as a whole make the network smaller. example [B, 3, H, W]: any
    image.

    Batch-norms are folded into convolutions. Channels that nobody reads are not computed, also where they
    cross residual connections; readers of some channels of a shared value select them. Channels that do not
    depend on the image become constants or, where zero padding leaves a border, maps that are computed once
    an image size. Never raises: a network that cannot be traced comes back masked and whole, with the reason.
    """
    masked = copy.deepcopy(model).eval()
    mask.apply(masked)
    exact = copy.deepcopy(masked).cpu().double()
    dense_parameters = sum(parameter.numel() for parameter in model.parameters())
    try:
        small, channels, whole = _rebuild(exact, example.cpu().double())
    except Exception as error:  # tracing runs the model's own code: whatever it raises is the reason
        first_line = str(error).strip().split("\n", 1)[0]
        report = Report(dense_parameters, _stored(masked))
        return Compaction(masked, exact, report, f"{type(error).__name__}: {first_line}")
    report = Report(dense_parameters, _stored(small), channels, whole)
    like = next(model.parameters())
    return Compaction(copy.deepcopy(small).to(like.device, like.dtype), small, report)


def _rebuild(exact: nn.Module, example: Tensor) -> tuple[nn.Module, dict[str, tuple[int, int]], tuple[str, ...]]:
    """The compact form of a masked float64 network, its layers' channels, and what was kept whole."""
    traced = trace(exact)
    fold(traced)
    rules = classify(traced, shapes(traced, example))

    # what is constant, forwards; what is read, backwards; what is left, forwards
    facts: dict[fx.Node, Facts | None] = {}
    for node, rule in rules.items():
        facts[node] = rule.facts(facts)
    live = _liveness(rules, facts)
    builder = Builder(facts)
    for node, rule in rules.items():
        rule.emit(live[node], builder)

    small = finish(builder.graph, builder.attributes).eval()
    overwrite(small, example)
    channels = {rule.name: _channels(small, rule.name) for rule in rules.values() if isinstance(rule, Weighted)}
    whole = tuple(rule.reason for rule in rules.values() if isinstance(rule, Opaque) and rule.reason)
    return small, channels, whole


def _liveness(rules: dict[fx.Node, Rule], facts: Mapping[fx.Node, Facts | None]) -> dict[fx.Node, Tensor]:
    """Which channels of each value somebody reads and the network must compute: booleans [C]."""
    sizes = {node: 0 if known is None else len(known.kind) for node, known in facts.items()}
    live = {node: torch.zeros(size, dtype=torch.bool) for node, size in sizes.items()}
    for node, rule in reversed(rules.items()):
        if live[node].any() or isinstance(rule, Opaque):
            for source, channels in rule.demand(live[node], facts):
                live[source] |= channels & facts_in(facts, source).computed
    return live


def _channels(small: nn.Module, name: str) -> tuple[int, int]:
    try:
        weight = small.get_submodule(name).get_parameter("weight")
    except AttributeError:
        return (0, 0)
    return (weight.shape[1], weight.shape[0])


def _stored(network: nn.Module) -> int:
    values = [*network.parameters(), *network.buffers()]
    return sum(value.numel() for value in values if value.is_floating_point())
