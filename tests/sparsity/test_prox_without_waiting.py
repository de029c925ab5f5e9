"""On a GPU no step may wait for the device: the operators then read no number back, and are as exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from msbench.sparsity import prox
from msbench.sparsity.prox import AdaptiveProx, prox_euclidean, prox_l1, prox_l1_adaptive
from tests.sparsity.test_prox import random_moments, random_weights

THRESHOLD = 0.05


class Reads(TorchDispatchMode):
    """Counts numbers that the host reads, and shapes that depend on values: on a GPU each waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = prox._iterations
    monkeypatch.setattr(prox, "_iterations", lambda device, is_warm: counts(torch.device("cuda"), is_warm))


def adaptive(weights: list[Tensor]) -> None:
    AdaptiveProx()(weights, random_moments(0, 1.0, torch.float32), THRESHOLD)


def l1_adaptive(weights: list[Tensor]) -> None:
    prox_l1_adaptive(weights, random_moments(0, 1.0, torch.float32), THRESHOLD)


STEPS: dict[str, Callable[[list[Tensor]], Any]] = {
    "euclidean": lambda weights: prox_euclidean(weights, THRESHOLD),
    "adaptive": adaptive,
    "l1": lambda weights: prox_l1(weights, THRESHOLD),
    "l1_adaptive": l1_adaptive,
}


@pytest.mark.usefixtures("as_on_gpu")
@pytest.mark.parametrize("operator", STEPS)
def test_nothing_is_read_back(operator: str) -> None:
    weights = random_weights(0, torch.float32)
    with Reads() as reads:
        STEPS[operator](weights)

    assert not reads.found


def test_reads_are_seen_where_there_are_any() -> None:
    weights = random_weights(0, torch.float32)
    with Reads() as reads:
        adaptive(weights)  # as on a CPU, where asking is free

    assert reads.found


@pytest.mark.usefixtures("as_on_gpu")
@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_fixed_iterations_are_as_exact(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, over weights that drift as in training; against iterations that end when they have converged."""
    generator = torch.Generator().manual_seed(0)
    start, moments = random_weights(3, torch.float32), random_moments(3, spread, torch.float32)
    warm = AdaptiveProx()
    for _ in range(5):
        drifted = [w * (1 + 0.01 * torch.randn(w.shape, generator=generator)) for w in start]
        converged = [w.double() for w in drifted]
        warm(drifted, moments, THRESHOLD)
        with monkeypatch.context() as patch:
            patch.setattr(prox, "_iterations", lambda device, is_warm: None)
            AdaptiveProx()(converged, [m.double() for m in moments], THRESHOLD)
        for found, expected in zip(drifted, converged, strict=True):
            torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
