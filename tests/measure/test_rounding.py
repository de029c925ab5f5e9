"""Rounding of channel counts: the wider network only where a measurement is sure that it is faster."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from msbench.measure import rounding
from msbench.measure.latency import Latency
from msbench.measure.rounding import Rounded, fastest
from msbench.sparsity.compaction import prove
from msbench.sparsity.mask import Mask

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
FOUND = Latency("cpu", 1, 1, 1, 1, 1, 1, 1, 7, 1, 1, (8, 8), "float32", "eager", None, None, None, ())


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 4, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"out": self.second(self.first(image).relu())}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return Network().eval()


def keep(channels: int) -> Mask:
    return Mask({"second": torch.arange(32) < channels})


def widths(found: Rounded) -> int:
    """How many filters the first convolution has left."""
    return next(module.out_channels for module in found.compaction.model.modules() if isinstance(module, nn.Conv2d))


def measured(monkeypatch: pytest.MonkeyPatch, intervals: dict[int, tuple[float, float, float]]) -> None:
    """`measure` finds these (low, ratio, high) for a wider network with so many filters."""

    def fake(dense: nn.Module, compact: nn.Module, image: Tensor, **_: object) -> Latency:
        filters = next(module.out_channels for module in compact.modules() if isinstance(module, nn.Conv2d))
        low, ratio, high = intervals[filters]
        return replace(FOUND, low=low, ratio=ratio, high=high)

    monkeypatch.setattr(rounding, "measure", fake)


def test_faster_width_is_taken_and_gains_multiply(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, {8: (1.1, 1.2, 1.3), 16: (1.4, 1.5, 1.6)})

    found = fastest(network, keep(5), IMAGE)

    assert (found.round_to, widths(found)) == (16, 16)
    assert found.gain == pytest.approx(1.8)


def test_noise_keeps_the_smaller_network(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, {8: (0.99, 1.2, 1.4), 16: (0.7, 0.8, 0.9)})

    found = fastest(network, keep(5), IMAGE)

    assert (found.round_to, widths(found), found.gain) == (1, 5, 1.0)


def test_width_that_changes_nothing_is_not_measured(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, {})  # any measurement would be a KeyError

    assert fastest(network, keep(16), IMAGE).round_to == 1


def test_rounded_network_has_the_same_outputs(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, {8: (1.1, 1.2, 1.3), 16: (1.4, 1.5, 1.6)})
    mask = keep(5)

    compaction = fastest(network, mask, IMAGE).compaction
    mask.apply(network)

    assert prove(network, compaction.model, [IMAGE], exact=compaction.exact).equal


def test_real_measurement_chooses_one_of_the_widths(network: nn.Module) -> None:
    found = fastest(network, keep(5), IMAGE, budget_s=0.0)

    assert found.round_to in rounding.WIDTHS
    assert widths(found) == {1: 5, 8: 8, 16: 16}[found.round_to]
