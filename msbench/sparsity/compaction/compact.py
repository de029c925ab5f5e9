"""Compaction: what nobody reads is removed, what depends on nothing is folded, the rest keeps its values."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from msbench.sparsity.compaction.builder import Builder
from msbench.sparsity.compaction.classify import classify
from msbench.sparsity.compaction.facts import Kind, round_up
from msbench.sparsity.compaction.inplace import overwrite
from msbench.sparsity.compaction.maps import finish
from msbench.sparsity.compaction.opaque import Opaque
from msbench.sparsity.compaction.report import Report, describe, stored
from msbench.sparsity.compaction.rules import Known, Rule, facts_in
from msbench.sparsity.compaction.tracing import fold, other_shapes, shapes, trace
from msbench.sparsity.mask import Mask


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
def compact(model: nn.Module, mask: Mask, example: Tensor, *, round_to: int = 1) -> Compaction:
    """A smaller dense network with the outputs of `model` under `mask`, in eval mode, for any image size.

    model: left untouched, one floating-point dtype. mask: structured or not; of an unstructured one, only
    filters and input channels that are zero as a whole make the network smaller. example [B, 3, H, W]: any
    image. round_to: layers keep a multiple of this many channels where they have as many, the ones that make
    it up being channels that nobody needs; for devices that are faster at such widths.

    Batch-norms are folded into convolutions. Channels that nobody reads are not computed, also where they
    cross residual connections; readers of some channels of a shared value select them. Channels that do not
    depend on the image become constants or, where zero padding leaves a border, maps that are computed once
    an image size. Never raises over the network: one that cannot be traced comes back masked and whole, with
    the reason. Raises ValueError if `round_to` is below 1.
    """
    if round_to < 1:
        raise ValueError(f"round_to: must be at least 1, got {round_to}")
    masked = copy.deepcopy(model).eval()
    mask.apply(masked)
    exact = copy.deepcopy(masked).cpu().double()
    dense_parameters = sum(parameter.numel() for parameter in model.parameters())
    try:
        small, report = _rebuild(exact, example.cpu().double(), round_to, dense_parameters)
    except Exception as error:  # tracing runs the model's own code: whatever it raises is the reason
        first_line = str(error).strip().split("\n", 1)[0]
        report = Report(dense_parameters, stored(masked))
        return Compaction(masked, exact, report, f"{type(error).__name__}: {first_line}")
    like = next(model.parameters())
    return Compaction(copy.deepcopy(small).to(like.device, like.dtype), small, report)


def _rebuild(exact: nn.Module, example: Tensor, round_to: int, dense_parameters: int) -> tuple[nn.Module, Report]:
    """The compact form of a masked float64 network, and what was done."""
    traced = trace(exact)
    fold(traced)
    # what is constant, forwards; what is read, backwards; what is left, forwards
    rules, known = classify(traced, shapes(traced, example), other_shapes(traced, example))
    live = _liveness(rules, known, round_to)
    builder = Builder(known, round_to)
    for node, rule in rules.items():
        rule.emit(live[node], builder)

    small = finish(builder.graph, builder.attributes).eval()
    overwrite(small, example)
    least = _liveness(rules, known, round_to, ideal=True)
    held = {node: live[node] & ~least[node] for node in rules}
    return small, describe(small, rules, held, dense_parameters)


def _liveness(rules: dict[fx.Node, Rule], known: Known, round_to: int, *, ideal: bool = False) -> dict[fx.Node, Tensor]:
    """Which channels of each value somebody reads and the network must compute: booleans [C].

    ideal: as if operations without a rule treated each channel by itself.
    """
    live = {node: torch.zeros(0 if facts is None else facts.size, dtype=torch.bool) for node, facts in known.items()}
    for node, rule in reversed(rules.items()):
        facts = known[node]
        if facts is not None:
            live[node] = round_up(live[node], facts.of(Kind.DYNAMIC), round_to)
        if not live[node].any() and not isinstance(rule, Opaque):
            continue
        demand = rule.least if ideal and isinstance(rule, Opaque) and rule.reason else rule.demand
        for source, channels in demand(live[node], known):
            live[source] |= channels & facts_in(known, source).computed
    return live
