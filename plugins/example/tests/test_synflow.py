"""SynFlow's scores against path sums by hand, its conservation law, and the pruning that it promises."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from msbench_example.synflow import SynFlow, synaptic_flow
from torch import Tensor, nn


class Chain(nn.Module):
    """Three linear layers with ReLU between them, no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 4, False), nn.Linear(4, 5, False), nn.Linear(5, 2, False)])

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image
        for layer in self.layers:
            x = layer(x).relu()
        return {"task": x}


@pytest.fixture
def chain() -> Chain:
    torch.manual_seed(0)
    return Chain()


def test_a_weights_score_is_the_sum_of_the_paths_through_it(chain: Chain) -> None:
    first, second, third = (layer.weight.detach().abs().double() for layer in chain.layers)
    expected = torch.zeros_like(second)
    for i, j, k, out in product(range(3), range(4), range(5), range(2)):
        expected[k, j] += first[j, i] * second[k, j] * third[out, k]
    flow = synaptic_flow(chain, torch.ones(1, 3, dtype=torch.float64))
    assert torch.allclose(flow["layers.1.weight"], expected, rtol=1e-12)


def test_flow_is_conserved_from_layer_to_layer_and_at_every_unit(chain: Chain) -> None:
    """Theorems 1 and 2: what flows into a hidden unit flows out of it, so every layer's scores have one sum."""
    flow = synaptic_flow(chain, torch.ones(1, 3, dtype=torch.float64))
    sums = torch.stack([score.sum() for score in flow.values()])
    assert torch.allclose(sums, sums[0].expand(3), rtol=1e-12)
    assert torch.allclose(flow["layers.0.weight"].sum(1), flow["layers.1.weight"].sum(0), rtol=1e-12)


def test_the_model_stays_as_it_was(chain: Chain) -> None:
    before = [parameter.clone() for parameter in chain.parameters()]
    synaptic_flow(chain, torch.ones(1, 3, dtype=torch.float64))
    assert all(torch.equal(a, b) for a, b in zip(before, chain.parameters(), strict=True))
    assert chain.training
    assert all(parameter.grad is None for parameter in chain.parameters())


def test_parameters_are_the_papers() -> None:
    assert SynFlow().rounds == 100
    assert not SynFlow().structured
