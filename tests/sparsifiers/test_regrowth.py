"""Prune and regrow: what is dropped, what comes back and with which weights, and that the sparsity is held."""

from __future__ import annotations

import math
from itertools import pairwise
from math import prod

import numpy as np
import pytest
import scipy.stats
import torch

from msbench.api import Sparsifier, UserError
from msbench_plugins.sparsifiers.regrowth import (
    DynamicSparse,
    Growth,
    Regrowth,
    regrow_groups,
)
from tests.sparsifiers.helpers import (
    REWIRING,
    Make,
    check_learns_and_spends,
    check_seeds,
    held,
    masks_of,
    pruned,
    weights_of,
)

# -- whole groups -----------------------------------------------------------------------------------------------------


def test_regrown_groups_are_xavier_uniform(make_trainer: Make) -> None:
    trainer = pruned(make_trainer(target=0.5, width=8))
    before = held(trainer)
    regrow_groups(trainer, 0.5, 0.4, "random")
    drawn = []
    for name, weight in weights_of(trainer).items():
        new = held(trainer)[name] & ~before[name]
        kernel = prod(weight.shape[2:])
        bound = math.sqrt(6 / (weight.shape[1] * kernel + weight.shape[0] * kernel))
        drawn.append((weight[:, new] / bound).flatten())
    values = torch.cat(drawn).numpy()
    assert len(values) > 2000
    assert 0.99 < np.abs(values).max() <= 1
    assert scipy.stats.kstest(values, scipy.stats.uniform(-1, 2).cdf).pvalue > 0.01


@pytest.mark.parametrize("growth", ["random", "gradient"])
def test_as_many_weights_come_back_as_are_dropped(make_trainer: Make, growth: Growth) -> None:
    trainer = pruned(make_trainer(target=0.5, width=8), gradients=True)
    before, weights = held(trainer), weights_of(trainer)
    regrow_groups(trainer, 0.5, 0.3, growth)
    after = held(trainer)
    sizes = {layer.name: layer.size for layer in trainer.groups.layers}
    lost = sum(int((before[n] & ~after[n]).sum()) * sizes[n] for n in sizes)
    gained = sum(int((after[n] & ~before[n]).sum()) * sizes[n] for n in sizes)
    assert abs(lost - gained) <= max(sizes.values())
    asked = 0.3 * 0.5 * trainer.groups.weights  # some of the dropped come back at once
    assert 0.3 * asked < gained < asked + max(sizes.values())
    for name, weight in weights_of(trainer).items():
        both = after[name] & before[name]
        assert torch.equal(weight[:, both], weights[name][:, both]), "what stays is not touched"
        assert not weight[:, ~after[name]].any()


def test_the_smallest_groups_are_dropped_and_the_largest_gradients_grow(make_trainer: Make) -> None:
    trainer = pruned(make_trainer(target=0.5, width=8), gradients=True)
    before = held(trainer)
    axes = {name: (0, *range(2, w.ndim)) for name, w in trainer.weights.items()}
    size = {name: w.detach().pow(2).mean(axes[name]) for name, w in trainer.weights.items()}
    gradient = {name: w.grad.pow(2).mean(axes[name]) for name, w in trainer.weights.items() if w.grad is not None}
    regrow_groups(trainer, 0.5, 0.3, "gradient")
    after = held(trainer)
    sizes = {layer.name: layer.size for layer in trainer.groups.layers}
    checked = 0
    for count in set(sizes.values()):  # between groups of one size nothing but the score decides
        names = [name for name in sizes if sizes[name] == count]
        grown = torch.cat([gradient[n][after[n] & ~before[n]] for n in names])
        left = torch.cat([gradient[n][~after[n]] for n in names])
        if len(grown) and len(left):
            assert grown.min() >= left.max()
            checked += 1
        best = {n: size[n].where(before[n], torch.tensor(-1.0)).argmax() == torch.arange(len(size[n])) for n in names}
        gone = torch.cat([size[n][before[n] & ~after[n]] for n in names])
        largest = torch.cat([size[n][before[n] & after[n] & ~best[n]] for n in names])
        if len(gone) and len(largest):
            # what is dropped and grows back at once stays, whatever its size
            assert gone.max() <= largest.max()
            assert gone.mean() < largest.mean()
            checked += 1
    assert checked >= 4


def test_random_growth_favours_no_group(make_trainer: Make) -> None:
    trainer = pruned(make_trainer(target=0.5))
    start, before = trainer.snapshot(), held(trainer)
    name = trainer.groups.layers[-2].name  # sixteen groups of one size
    counts = np.zeros(int((~before[name]).sum()))
    for _ in range(80):
        trainer.restore(start)
        trainer.apply_mask(before)
        regrow_groups(trainer, 0.5, 0.3, "random")
        counts += held(trainer)[name][~before[name]].numpy()
    assert counts.min() > 0
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_regrown_weights_have_no_momentum(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    trainer.train(steps=4)
    pruned(trainer)
    before = held(trainer)
    regrow_groups(trainer, 0.5, 0.4, "random")
    for name, weight in trainer.weights.items():
        new = held(trainer)[name] & ~before[name]
        assert not trainer.optimizer.second_moment(weight)[:, new].any()
        assert weight[:, new].all()


# -- every variant ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", REWIRING)
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_sparsity_is_held_at_every_update(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, variant: str, target: float
) -> None:
    trainer = make_trainer(target=target, samples=128, evaluations=1)
    masks = masks_of(REWIRING[variant](), trainer, monkeypatch)
    structured = variant.startswith("regrowth")
    tolerance = trainer.budget.tolerance(structured)
    assert len(masks) >= 3
    assert all(mask.structured == structured for mask in masks)
    for mask in masks:
        assert abs(trainer.budget.sparsity(mask) - target) <= tolerance
        assert all(kept.any() for kept in mask.values())
    assert sum(one.digest() != other.digest() for one, other in pairwise(masks)) >= 1
    assert held(trainer).digest() == masks[-1].digest()
    for name, weight in trainer.weights.items():
        assert not (weight * ~masks[-1].expanded(name, weight)).any()


@pytest.mark.parametrize("variant", REWIRING)
def test_it_learns_and_spends_its_allowance(make_trainer: Make, variant: str) -> None:
    check_learns_and_spends(make_trainer, REWIRING[variant]())


@pytest.mark.parametrize("variant", REWIRING)
def test_same_seed_same_bytes(make_trainer: Make, variant: str) -> None:
    check_seeds(make_trainer, REWIRING[variant], samples=72)


@pytest.mark.parametrize("sparsifier", [Regrowth(), DynamicSparse()])
def test_a_natural_budget_is_refused(make_trainer: Make, sparsifier: Sparsifier) -> None:
    with pytest.raises(UserError, match="needs a target"):
        sparsifier.sparsify(make_trainer())
