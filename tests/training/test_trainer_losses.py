"""Losses that are logged as tensors: the same rows in the end, and a divergence that is found late is still named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from msbench.errors import DivergedError
from msbench.training import history as history_module
from msbench.training.history import History
from msbench.training.meta import MetaTraining
from msbench.training.trainer import Trainer

Make = Callable[..., Trainer]


def deferring(trainer: Trainer) -> Trainer:
    """The trainer as it is on a GPU: values stay where they are until they are asked for."""
    trainer.history.deferred = True
    return trainer


@pytest.mark.parametrize("meta", [False, True])
def test_rows_that_come_late_are_the_same_to_the_bit(make_trainer: Make, meta: bool) -> None:
    at_once, late = make_trainer(samples=96), deferring(make_trainer(samples=96))
    for trainer in (at_once, late):
        if meta:
            trainer.meta_train(MetaTraining(1, 1e-2, meta_batch=2), share=0.7)
        trainer.train()
        trainer.finish()
    assert late.history.rows == at_once.history.rows
    assert late.history.latest() == at_once.history.latest()


def test_nothing_is_read_from_a_loss_between_evaluations(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = deferring(make_trainer(samples=160, evaluations=2))
    reads: list[int] = []

    def read(tensor: Tensor, *arguments: object) -> object:
        reads.append(trainer.history.step)
        return original(tensor, *arguments)

    original = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", read)
    monkeypatch.setattr(torch.Tensor, "__float__", read)
    trainer.train(steps=9)
    assert reads == [], "the first evaluation is after ten steps"
    make_trainer().train(steps=1)
    assert len(reads) >= 2, "on a CPU there is nothing to wait for"


def infinite_from(step: int, trainer: Trainer) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """An objective that leaves finite gradients, and a task loss that is made infinite at a step."""
    losses_of = trainer.losses

    def losses(*arguments: object) -> dict[str, Tensor]:
        found = losses_of(*arguments)  # type: ignore[arg-type]
        return {**found, "normals": found["normals"] * math.inf} if trainer.history.step + 1 >= step else found

    trainer.losses = losses  # type: ignore[method-assign, assignment]
    return lambda found: found["segmentation"]


@pytest.mark.parametrize("late", [False, True])
def test_a_divergence_names_the_task_and_the_samples_of_its_step(make_trainer: Make, late: bool) -> None:
    trainer = make_trainer(samples=160)
    trainer.history.deferred = late
    with pytest.raises(DivergedError, match="the loss of task 'normals' is inf after 24 samples"):
        trainer.train(objective=infinite_from(3, trainer))
    # ten steps is where the first evaluation is due
    assert trainer.history.step == (10 if late else 3)


def test_a_stage_that_ends_before_an_evaluation_is_checked_too(make_trainer: Make) -> None:
    trainer = deferring(make_trainer(samples=160))
    with pytest.raises(DivergedError, match="after 24 samples"):
        trainer.train(steps=4, objective=infinite_from(3, trainer))


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST_WAITING", 3)
    history = History(deferred=True)
    for value in range(7):
        history.add("x", torch.tensor(float(value)))
    assert len(history._waiting) == 1
    assert [row[3] for row in history.rows] == [0, 1, 2, 3, 4, 5, 6]


def test_only_losses_are_checked() -> None:
    history = History()
    history.add("validation/score", math.nan)
    history.check()
    history.add("loss/depth", math.nan)
    with pytest.raises(DivergedError, match="'depth' is nan"):
        history.check()
