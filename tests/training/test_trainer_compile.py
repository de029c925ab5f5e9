"""training.compile: the same training, through another forward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from msbench.training.trainer import Trainer

Make = Callable[..., Trainer]


def state_bytes(trainer: Trainer) -> bytes:
    return b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values())


def test_a_compiled_step_trains_the_same_network(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def compiling(model: torch.nn.Module) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            calls.append(model.training)
            return model(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", compiling)
    compiled, plain = make_trainer(compile=True), make_trainer()
    for trainer in (compiled, plain):
        trainer.train(share=0.5)
        trainer.gradients()
        trainer.evaluate()
    assert calls == [True] * 10, "each of ten steps, and nothing that only looks"
    assert state_bytes(compiled) == state_bytes(plain)


@pytest.mark.long
def test_the_compiler_gives_the_same_losses_within_rounding(make_trainer: Make) -> None:
    compiled, plain = make_trainer(compile=True), make_trainer()
    for trainer in (compiled, plain):
        trainer.train(steps=2)
    for ours, theirs in zip(compiled.history.rows, plain.history.rows, strict=True):
        assert ours[:3] == theirs[:3]
        assert ours[3] == pytest.approx(theirs[3], rel=1e-3)
