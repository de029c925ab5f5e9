"""What the tests of sparsifiers ask of a trainer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.training.sparsifier import Sparsifier
from msbench.training.trainer import Trainer


def whole_model(trainer: Trainer) -> Trainer:
    """The same trainer with a budget over backbone and heads."""
    trainer.budget = replace(trainer.budget, scope="model", groups=Groups.of(trainer.model, "model"))
    return trainer


def state_bytes(trainer: Trainer) -> bytes:
    """Every parameter and buffer."""
    return b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values())


def logged(trainer: Trainer, name: str) -> list[float]:
    """A quantity of the history, in the order in which it was logged."""
    return [value for _, _, key, value in trainer.history.rows if key == name]


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """A copy of the weights in scope."""
    return {name: weight.detach().clone() for name, weight in trainer.weights.items()}


def held(trainer: Trainer) -> Mask:
    """The mask that the trainer holds."""
    assert trainer.mask is not None
    return trainer.mask


def pruned(trainer: Trainer, gradients: bool = False) -> Trainer:
    """At its target, by groups chosen at random; with gradients where asked for."""
    scores = {x.name: torch.rand(x.count, generator=trainer.generator) for x in trainer.groups.layers}
    trainer.apply_mask(trainer.budget.select(scores))
    if gradients:
        trainer.backward(trainer.next_batch())
    return trainer


def masks_of(sparsifier: Sparsifier, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[Mask]:
    seen: list[Mask] = []
    apply = trainer.apply_mask

    def watch(mask: Mask) -> None:
        seen.append(mask)
        apply(mask)

    monkeypatch.setattr(trainer, "apply_mask", watch)
    sparsifier.sparsify(trainer)
    return seen
