"""What the tests of sparsifiers ask of a trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.training.sparsifier import Sparsifier
from msbench.training.trainer import Trainer
from msbench_plugins.sparsifiers.regrowth import DynamicSparse, Regrowth

Make = Callable[..., Trainer]
REWIRING: dict[str, Callable[[], Sparsifier]] = {
    "regrowth": lambda: Regrowth(every=3),
    "regrowth by gradient": lambda: Regrowth(every=3, growth="gradient"),
    "set": lambda: DynamicSparse(**DynamicSparse.variants["set"], every=3),
    "rigl": lambda: DynamicSparse(**DynamicSparse.variants["rigl"], every=3),
    "rigl, uniform": lambda: DynamicSparse(densities="uniform", every=3),
}
"""Every way to take away and give back while training."""


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


def granularity(trainer: Trainer) -> float:
    """Half of the largest group: no selection is further from its target while a group of any size is left."""
    return max(layer.size for layer in trainer.groups.layers) / trainer.groups.weights / 2


def found_mask(trainer: Trainer) -> Mask:
    """A mask that removes every third group, and the whole of one layer."""
    kept = {layer.name: torch.arange(layer.count) % 3 != 1 for layer in trainer.groups.layers}
    emptied = trainer.groups.layers[2].name
    return Mask(kept | {emptied: torch.zeros_like(kept[emptied])})


def masks_with_samples(
    sparsifier: Sparsifier, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[int, Mask]]:
    """Every mask that was applied, with the samples spent until then."""
    seen: list[tuple[int, Mask]] = []
    apply = trainer.apply_mask

    def watch(mask: Mask) -> None:
        seen.append((trainer.allowance.spent, mask))
        apply(mask)

    monkeypatch.setattr(trainer, "apply_mask", watch)
    sparsifier.sparsify(trainer)
    return seen


def check_learns_and_spends(make_trainer: Make, sparsifier: Sparsifier) -> None:
    """It ends better than the constant predictor, with less than a batch of its allowance left."""
    trainer = make_trainer(samples=640, target=0.5, lr=2e-2)
    sparsifier.sparsify(trainer)
    assert trainer.evaluate().score(trainer.loss_floor) < 0.8
    assert trainer.allowance.left < trainer.settings.batch


def check_seeds(make_trainer: Make, make: Callable[[], Sparsifier], samples: int) -> None:
    """One seed, one network to the last byte, whatever else draws random numbers; another seed, another network."""
    trainers = [make_trainer(seed=seed, samples=samples, target=0.5) for seed in (3, 3, 4)]
    before = torch.random.get_rng_state()
    for trainer in trainers:
        make().sparsify(trainer)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second, other = (state_bytes(trainer) for trainer in trainers)
    assert first == second != other
