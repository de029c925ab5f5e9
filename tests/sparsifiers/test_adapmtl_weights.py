"""AdapMTL's adaptive loss weights: equation 6, the official code's, the window, and the rows of Table 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from msbench.api import UserError
from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.adapmtl import AdapMTL
from msbench_plugins.sparsifiers.adapmtl_parts.weighting import AdaptiveWeights, size_ratio
from tests.sparsifiers.helpers import logged, state_bytes, whole_model

Make = Callable[..., Trainer]


# -- loss weights --------------------------------------------------------------------------------------------------

SERIES = {"segmentation": [4.0, 3.0, 2.0], "normals": [1.0, 1.5, 0.5]}


def fed(trainer: Trainer, mode: Any, window: int, scale: float = 1.0) -> tuple[AdaptiveWeights, list[float]]:
    weighting = AdaptiveWeights(mode, window, scale, trainer)
    steps = zip(SERIES["segmentation"], SERIES["normals"], strict=True)
    return weighting, [
        float(weighting({"segmentation": torch.tensor(a), "normals": torch.tensor(b)})) for a, b in steps
    ]


def test_equation_6_by_hand(make_trainer: Make) -> None:
    weighting, totals = fed(make_trainer(samples=800), "paper", window=3, scale=5.0)
    # D = mean |ΔL| / L = 1 / 2 and 0.75 / 0.5 = 1.5; mean 1; inverse 2 and 2/3; to a sum of two: 1.5 and 0.5
    assert weighting.weights() == pytest.approx({"segmentation": 7.5, "normals": 2.5}, rel=1e-6)
    # until the window is full, both count the same
    assert totals == pytest.approx([5 * 5.0, 5 * 4.5, 7.5 * 2.0 + 2.5 * 0.5], rel=1e-6)


def test_the_official_codes_weights_by_hand(make_trainer: Make) -> None:
    weighting, _ = fed(make_trainer(samples=800), "code", window=3)
    # mean of |ΔL| / L: (1/3 + 1/2) / 2 = 5/12 and (1/3 + 2) / 2 = 14/12, not inverted; to a sum of two
    assert weighting.weights() == pytest.approx({"segmentation": 10 / 19, "normals": 28 / 19}, rel=1e-6)


def test_a_window_of_two_compares_adjacent_steps(make_trainer: Make) -> None:
    weighting, _ = fed(make_trainer(samples=800), "paper", window=2)
    # D = 1 / 2 and 1 / 0.5 = 2; mean 1.25; inverse 2.5 and 0.625; to a sum of two
    assert weighting.weights() == pytest.approx({"segmentation": 1.6, "normals": 0.4}, rel=1e-6)


def test_weights_are_limited_and_the_window_fits_the_run(make_trainer: Make) -> None:
    trainer = make_trainer(samples=800)
    weighting = AdaptiveWeights("paper", 400, 1.0, trainer)
    assert weighting.window == 10
    for _ in range(10):
        weighting({"segmentation": torch.tensor(1.0), "normals": torch.rand((), generator=trainer.generator)})
    # a flat loss would weigh 1e8 times as much: ratio 10, and 0.5 of the restless one (mean of a zero and itself)
    assert weighting.weights() == pytest.approx({"segmentation": 2 * 10 / 10.5, "normals": 2 * 0.5 / 10.5}, rel=1e-6)


def test_size_ratio_counts_parameters(make_trainer: Make) -> None:
    trainer = make_trainer()
    count = [sum(p.numel() for p in part.parameters()) for part in (trainer.model.backbone, trainer.model.heads)]
    assert size_ratio(trainer) == pytest.approx(count[0] / count[1])


TABLE_5 = {
    "no lambda": {"lam": 1.0, "ratio": True},
    "no sliding window": {"lam": 5.0, "ratio": True, "window": 2},
    "one threshold": {"lam": 5.0, "ratio": True, "threshold_group": "single"},
    "two thresholds": {"lam": 5.0, "ratio": True, "threshold_group": "two"},
    "full": {"lam": 5.0, "ratio": True},
}


def test_every_row_of_table_5_can_be_run_and_differs(make_trainer: Make) -> None:
    weights = set()
    for row, options in TABLE_5.items():
        trainer = whole_model(make_trainer(target=0.5, samples=320, lr=1e-2))
        AdapMTL(**options).sparsify(trainer)  # type: ignore[arg-type]
        assert trainer.sparsity(structured=False) == pytest.approx(0.5, abs=1e-3), row
        weights.add(state_bytes(trainer))
        total = sum(logged(trainer, f"loss_weight/{task.name}")[0] for task in trainer.tasks)
        assert total == pytest.approx(2 * options["lam"] * size_ratio(trainer), rel=1e-6), row
    assert len(weights) == len(TABLE_5)


def test_without_beta_the_balancer_weighs_and_its_options_are_refused(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    before = {name: value.detach().clone() for name, value in trainer.balancer.named_parameters()}
    AdapMTL(beta="none").sparsify(trainer)
    assert any(not torch.equal(value, before[name]) for name, value in trainer.balancer.named_parameters())
    with pytest.raises(UserError, match="window, lam and ratio need a beta"):
        AdapMTL(beta="none", lam=5.0)
