"""What compaction did, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, fx, nn

from msbench.sparsity.compaction.opaque import Opaque
from msbench.sparsity.compaction.rules import Rule
from msbench.sparsity.compaction.weighted import Weighted


@dataclass(frozen=True)
class Report:
    """What compaction did.

    dense_parameters: of the model as it was.
    compact_parameters: numbers that the compact network stores: parameters, folded constants and what is
        left of batch-norm statistics, but not the indices of channel selections.
    channels: layer to its (inputs, outputs) in the compact network; (0, 0) for one that is computed no more.
    whole: operations on channels that were kept whole because no rule is sure about them.
    held: each of `whole` to how many channels of its inputs are computed on account of such operations: they
        would go if the operations treated each channel by itself.
    zeros: weights that are zero and stay, because their filter and their input channel do more than that.
    """

    dense_parameters: int
    compact_parameters: int
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    zeros: int = 0

    @property
    def removed(self) -> tuple[str, ...]:
        """Layers that are computed no more: their output is constant, or nobody reads it."""
        return tuple(name for name, sizes in self.channels.items() if sizes == (0, 0))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know, a sentence each: what went, what held it up, which zeros gain nothing."""
        removed = len(self.removed)
        notes = [f"{removed} of {len(self.channels)} layers are computed no more"] if removed else []
        for operation, channels in self.held.items():
            notes.append(f"{operation} was kept whole: {channels} channels of its inputs stay on such accounts")
        if self.zeros:
            notes.append(f"{self.zeros} single weights are zero: no dense speed-up for them")
        return tuple(notes)


def describe(small: nn.Module, rules: Mapping[fx.Node, Rule], held: Mapping[fx.Node, Tensor], dense: int) -> Report:
    """The report on `small`. held: channels of each value that only operations without a rule need. dense:
    parameters of the model as it was."""
    whole = [rule for rule in rules.values() if isinstance(rule, Opaque) and rule.reason]
    names = [rule.name for rule in rules.values() if isinstance(rule, Weighted)]
    return Report(
        dense_parameters=dense,
        compact_parameters=stored(small),
        channels={name: _channels(small, name) for name in names},
        whole=tuple(rule.reason for rule in whole),
        held={rule.reason: sum(int(held[source].sum()) for source in rule.node.all_input_nodes) for rule in whole},
        zeros=sum(int(p.eq(0).sum()) for p in small.parameters() if p.ndim > 1),
    )


def stored(network: nn.Module) -> int:
    """Floating-point numbers in the state of a network."""
    values = [*network.parameters(), *network.buffers()]
    return sum(value.numel() for value in values if value.is_floating_point())


def _channels(small: nn.Module, name: str) -> tuple[int, int]:
    try:
        layer = small.get_submodule(name)
    except AttributeError:
        return (0, 0)
    weight = layer.get_parameter("weight")
    return (weight.shape[1] * getattr(layer, "groups", 1), weight.shape[0])
