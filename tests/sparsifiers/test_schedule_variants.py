"""Every variant of the four schedules learns, repeats itself and meets its budget."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from msbench.api import Sparsifier, Trainer, UserError
from msbench_plugins.sparsifiers.iterative import Iterative
from msbench_plugins.sparsifiers.one_shot import OneShot
from msbench_plugins.sparsifiers.progressive import Progressive
from msbench_plugins.sparsifiers.sparse_training import SparseTraining
from tests.sparsifiers.helpers import check_learns_and_spends, check_seeds, masks_with_samples

Make = Callable[..., Trainer]

VARIANTS: dict[str, Callable[[], Sparsifier]] = {
    "one_shot_magnitude": lambda: OneShot(**OneShot.variants["one_shot_magnitude"]),
    "random": lambda: OneShot(**OneShot.variants["random"]),
    "iterative_magnitude": lambda: Iterative(**Iterative.variants["iterative_magnitude"]),
    "progressive_magnitude": lambda: Progressive(**Progressive.variants["progressive_magnitude"]),
    "sparse_training": SparseTraining,
}


# -- what each starts from (Table 5) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sparsifier", "dense_steps"),
    [
        (OneShot(dense_share=0.25), 5),
        (OneShot(init="random"), 0),
        (Iterative(dense_share=0.25), 5),
        (Iterative(init="random"), 0),
        (Progressive(start_share=0, every=1), 1),
        (Progressive(init="dense", dense_share=0.25, start_share=0, every=1), 6),
        (SparseTraining(), 0),
        (SparseTraining(init="dense", dense_share=0.25), 5),
    ],
)
def test_init_says_how_long_it_trains_dense_before_the_first_removal(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, sparsifier: Sparsifier, dense_steps: int
) -> None:
    trainer = make_trainer(samples=160, target=0.5)
    assert masks_with_samples(sparsifier, trainer, monkeypatch)[0][0] == 8 * dense_steps


def test_sparse_training_starts_from_the_initial_weights_under_the_mask(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, twin = make_trainer(samples=160, target=0.5), make_trainer()
    started: list[dict[str, torch.Tensor]] = []
    train = trainer.train

    def watch(**kwargs: object) -> None:
        started.append({name: weight.detach().clone() for name, weight in trainer.weights.items()})
        train(**kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "train", watch)
    SparseTraining().sparsify(trainer)
    assert trainer.mask is not None
    assert len(started) == 1
    for name, weight in twin.weights.items():
        assert torch.equal(started[0][name], weight * trainer.mask.expanded(name, weight))


def test_a_natural_budget_is_refused(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="needs a target"):
        SparseTraining().sparsify(make_trainer())


# -- every variant ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_learns_and_spends_its_allowance(make_trainer: Make, variant: str) -> None:
    check_learns_and_spends(make_trainer, VARIANTS[variant]())


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_same_bytes(make_trainer: Make, variant: str) -> None:
    check_seeds(make_trainer, VARIANTS[variant], samples=48)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_budget_of_groups_is_met(make_trainer: Make, variant: str, target: float) -> None:
    trainer = make_trainer(samples=64, evaluations=1, target=target)
    VARIANTS[variant]().sparsify(trainer)
    assert trainer.mask is not None
    assert abs(trainer.budget.sparsity(trainer.mask) - target) <= trainer.budget.tolerance(structured=True)
    assert trainer.sparsity() >= trainer.budget.sparsity(trainer.mask)


@pytest.mark.parametrize("sparsifier", [OneShot, Iterative, Progressive, SparseTraining])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_budget_of_single_weights_is_met(
    make_trainer: Make, sparsifier: type[OneShot | Iterative | Progressive | SparseTraining], target: float
) -> None:
    trainer = make_trainer(samples=64, evaluations=1, target=target)
    sparsifier(structured=False).sparsify(trainer)
    assert trainer.mask is not None
    assert not trainer.mask.structured
    assert math.isclose(trainer.budget.sparsity(trainer.mask), target, abs_tol=0.001)
