"""For random networks and random masks: the compact network computes what the masked one does."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from msbench.sparsity.compaction import compact, prove
from msbench.sparsity.compaction.grouping import cut
from msbench.sparsity.compaction.rules import Channelwise
from msbench.sparsity.compaction.weighted import Weighted
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from tests.sparsity import networks, random_networks

IMAGES = [torch.randn(size, generator=torch.Generator().manual_seed(1)) for size in ((2, 3, 20, 24), (1, 3, 27, 21))]
QUICK = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(data: st.DataObject) -> None:
    model = data.draw(random_networks.models())
    mask = data.draw(random_networks.masks(model))

    compaction = compact(model, mask, IMAGES[0], round_to=data.draw(st.sampled_from([1, 1, 4])))

    assert compaction.reason == ""
    masked = copy.deepcopy(model)
    mask.apply(masked)
    proof = prove(masked, compaction.model, IMAGES, {"float32": 1e-4, "float64": 1e-9}, exact=compaction.exact)
    assert proof.equal, proof


@settings(QUICK, max_examples=25)
@given(st.data())
def test_outputs_are_equal_for_any_network_and_mask(data: st.DataObject) -> None:
    check(data)


@pytest.mark.long
@settings(QUICK, max_examples=600, derandomize=False)
@given(st.data())
def test_outputs_are_equal_for_many_networks_and_masks(data: st.DataObject) -> None:
    check(data)


def damage_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant channel is taken for constant after zero padding too."""
    monkeypatch.setattr(Weighted, "_has_constant", lambda self: torch.zeros(len(self.weight), dtype=torch.bool))


def damage_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation's constant is forgotten."""
    facts = Channelwise.facts

    def forgetful(self: Channelwise, known: object) -> object:
        found = facts(self, known)
        return type(found)(found.kind, torch.zeros_like(found.value), found.ndim, found.dim)

    monkeypatch.setattr(Channelwise, "facts", forgetful)


def damage_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The channels that a layer reads are off by one."""
    monkeypatch.setattr(
        "msbench.sparsity.compaction.weighted.cut",
        lambda weight, bias, rows, columns, groups: cut(weight.roll(1, 1), bias, rows, columns, groups),
    )


@pytest.mark.parametrize("damage", [damage_borders, damage_constants, damage_selection])
def test_a_wrong_rule_is_caught_by_the_proof(damage: object, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model: nn.Module = networks.unsettle(networks.Bottlenecks(), seed=0)
    kept = {layer.name: torch.arange(layer.count) % 3 != 0 for layer in Groups.of(model, "model").layers[1:]}
    mask = Mask(kept | {"blocks.1.conv1": torch.zeros(12)})
    damage(monkeypatch)

    compaction = compact(model, mask, IMAGES[0])

    masked = copy.deepcopy(model)
    mask.apply(masked)
    proof = prove(masked, compaction.model, IMAGES, exact=compaction.exact)
    assert compaction.reason == ""
    assert not proof.equal
    assert proof.reason.startswith("seg: outputs differ by")
