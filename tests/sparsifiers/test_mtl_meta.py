"""The meta-learning control: it removes nothing, and meta-training is what makes it differ from plain training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.mtl_meta import MtlMeta
from tests.training.test_trainer import state_bytes

Make = Callable[..., Trainer]


@pytest.mark.parametrize(
    ("options", "meta_samples", "outer_steps"),
    [
        ({}, 160, 10),
        ({"order": "maml", "inner_steps": 3}, 160, 5),
        ({"order": "anil", "meta_batch": 2}, 160, 5),
        ({"order": "reptile", "episodes": "pairs", "meta_share": 0.25}, 80, 5),
        ({"episodes": "all", "meta_share": 0.6}, 192, 4),
    ],
)
def test_it_spends_the_allowance_and_removes_nothing(
    make_trainer: Make, options: dict[str, Any], meta_samples: int, outer_steps: int
) -> None:
    trainer = make_trainer(samples=320)
    MtlMeta(**options).sparsify(trainer)
    trainer.finish()
    assert not MtlMeta.sparse
    assert trainer.mask is None
    assert trainer.sparsity(structured=False) == 0.0
    assert trainer.allowance.spent == 320
    assert trainer.history.step == outer_steps + (320 - meta_samples) // 8
    assert not any(name == "lambda" for _, _, name, _ in trainer.history.rows)


def test_it_learns(make_trainer: Make) -> None:
    trainer = make_trainer(seed=2, samples=800, lr=1e-2)
    MtlMeta().sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.6


def test_same_seed_same_bytes_and_not_those_of_another_order(make_trainer: Make) -> None:
    def trained(seed: int, **options: Any) -> bytes:
        trainer = make_trainer(seed=seed)
        state = torch.random.get_rng_state()
        MtlMeta(**options).sparsify(trainer)
        assert torch.equal(torch.random.get_rng_state(), state), "the global generator is off limits"
        return state_bytes(trainer)

    first = trained(3)
    assert first == trained(3)
    assert (
        len({first, trained(4), trained(3, order="maml"), trained(3, order="anil"), trained(3, order="reptile")}) == 5
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="meta_batch=3: episodes='all' draws none"):
        MtlMeta(episodes="all", meta_batch=3)
