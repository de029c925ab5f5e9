"""SET and RigL: densities, growth of single weights, and how rewiring decays."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from msbench.api import Trainer
from msbench_plugins.sparsifiers.densities import erk, kept_weights, uniform
from msbench_plugins.sparsifiers.regrowth import (
    DynamicSparse,
    Growth,
    cosine,
    random_mask,
    rewire,
    train_with_updates,
)
from tests.sparsifiers.helpers import REWIRING, Make, held, masks_of, weights_of

BY_HAND = {"a": (4, 3, 3, 3), "b": (8, 4, 3, 3), "c": (10, 8)}
"""Sums of dimensions 13, 18, 18; products 108, 288, 80."""


# -- single weights ---------------------------------------------------------------------------------------------------


def test_erk_by_hand() -> None:
    # ε = 98 / 49 = 2: twice the sum of dimensions stays in each layer
    assert erk(BY_HAND, 98) == pytest.approx({"a": 26 / 108, "b": 36 / 288, "c": 36 / 80})
    assert kept_weights(BY_HAND, 98, "erk") == {"a": 26, "b": 36, "c": 36}
    # ε = 230 / 49 would keep 84.5 of the 80 in c: it is dense, and ε = 150 / 31 for the others
    assert erk(BY_HAND, 230) == pytest.approx({"a": 13 * 150 / 31 / 108, "b": 18 * 150 / 31 / 288, "c": 1.0})
    assert kept_weights(BY_HAND, 230, "erk") == {"a": 63, "b": 87, "c": 80}


def test_uniform_by_hand() -> None:
    # the first layer is dense, half of the other 368 stay
    assert uniform(BY_HAND, 108 + 184) == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.5})
    assert kept_weights(BY_HAND, 292, "uniform") == {"a": 108, "b": 144, "c": 40}
    # 47.6 are too few for a dense first layer
    assert uniform(BY_HAND, 47) == pytest.approx(dict.fromkeys(BY_HAND, 47 / 476))


shapes = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.sampled_from([1, 3])),
    min_size=1,
    max_size=6,
)


@given(shapes, st.floats(0.01, 0.99), st.sampled_from(["erk", "uniform"]))
def test_counts_always_add_up(found: list[tuple[int, ...]], share: float, densities: str) -> None:
    layers = {f"layer{i}": shape for i, shape in enumerate(found)}
    kept = round(share * sum(prod(shape) for shape in found))
    counts = kept_weights(layers, kept, densities)  # type: ignore[arg-type]
    assert sum(counts.values()) == kept
    assert all(0 <= counts[name] <= prod(layers[name]) for name in layers)
    if densities == "erk":
        raw = {name: sum(shape) / prod(shape) for name, shape in layers.items()}
        sparse = [erk(layers, kept)[name] / raw[name] for name in layers if erk(layers, kept)[name] < 1]
        assert sparse == pytest.approx([sparse[0]] * len(sparse) if sparse else [])


def test_rigl_grows_exactly_the_largest_gradients(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.7)
    trainer.apply_mask(random_mask(trainer, "erk"))
    trainer.train(steps=3)
    trainer.backward(trainer.next_batch())
    before, weights = held(trainer), weights_of(trainer)
    gradients = {name: w.grad.numpy().ravel() for name, w in trainer.weights.items() if w.grad is not None}
    rewire(trainer, 0.3, "gradient")
    grown = 0
    for name, weight in weights.items():
        active = np.flatnonzero(before[name].numpy().ravel())
        dropped = int(0.3 * len(active))
        values = np.abs(weight.numpy().ravel())
        survivors = set(sorted(active, key=lambda i: -values[i])[: len(active) - dropped])
        others = [i for i in range(len(values)) if i not in survivors]
        expected = survivors | set(sorted(others, key=lambda i: -abs(gradients[name][i]))[:dropped])
        assert set(np.flatnonzero(held(trainer)[name].numpy().ravel())) == expected
        new = held(trainer)[name] & ~before[name]
        after = trainer.weights[name].detach()
        assert not after[new].any(), "it starts from zero"
        assert not trainer.optimizer.second_moment(trainer.weights[name])[new].any()
        both = held(trainer)[name] & before[name]
        assert torch.equal(after[both], weight[both])
        grown += int(new.sum())
    assert grown > 50


def test_gradients_are_those_of_the_sparse_network(make_trainer: Make) -> None:
    trainer, twin = make_trainer(target=0.7), make_trainer()
    trainer.apply_mask(random_mask(trainer, "erk"))
    seen: dict[str, torch.Tensor] = {}

    def look(progress: float) -> None:
        seen.update({name: w.grad.clone() for name, w in trainer.weights.items() if w.grad is not None})

    batches = []
    take = trainer.next_batch
    trainer.next_batch = lambda size=None: batches.append(take(size)) or batches[-1]  # type: ignore
    train_with_updates(trainer, 0.1, 1, "gradient", look)  # two steps; the update takes the place of the second
    sparse = {name: (w * held(trainer)[name]).requires_grad_() for name, w in weights_of(trainer).items()}
    twin.model.load_state_dict(trainer.model.state_dict())
    twin.balancer.load_state_dict(trainer.balancer.state_dict())
    losses = twin.losses(batches[1], weights={f"{name}.weight": w for name, w in sparse.items()})
    expected = torch.autograd.grad(twin.balancer(losses), list(sparse.values()))
    for gradient, (name, found) in zip(expected, seen.items(), strict=True):
        assert torch.allclose(gradient, found, atol=1e-6), name


def test_an_update_by_gradient_takes_the_place_of_a_step_and_one_at_random_follows_it(make_trainer: Make) -> None:
    at: dict[Growth, list[float]] = {"gradient": [], "random": []}
    for growth, progress in at.items():
        trainer = make_trainer()
        train_with_updates(trainer, 0.5, 4, growth, progress.append)  # ten steps
        assert trainer.allowance.spent == 80
    assert at["gradient"] == at["random"] == [0.4, 0.8]

    trainer = make_trainer()
    states: list[bytes] = []

    def note(progress: float) -> None:
        states.append(b"".join(p.detach().numpy().tobytes() for p in trainer.model.parameters()))

    train_with_updates(trainer, 0.1, 1, "gradient", note)
    note(1.0)
    assert states[0] == states[1], "no optimizer step at an update"


def test_rewiring_follows_its_decay(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [cosine(0.3, t) for t in (0, 1 / 3, 0.5, 1)] == pytest.approx([0.3, 0.225, 0.15, 0.0])
    asked: dict[str, list[float]] = {"set": [], "rigl": []}
    for variant, fractions in asked.items():

        def note(trainer: Trainer, fraction: float, growth: Growth, into: list[float] = fractions) -> None:
            into.append(fraction)

        monkeypatch.setattr("msbench_plugins.sparsifiers.regrowth.rewire", note)
        sparsifier = DynamicSparse(**DynamicSparse.variants[variant], every=3, stop_share=0.45)
        sparsifier.sparsify(make_trainer(target=0.5))  # nine steps: updates at a third and two thirds
    assert asked["set"] == pytest.approx([0.3, 0.3])
    assert asked["rigl"] == pytest.approx([0.225, 0.075])


@pytest.mark.parametrize("variant", ["set", "rigl", "rigl, uniform"])
def test_each_layer_keeps_its_number_of_weights(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    trainer = make_trainer(target=0.8)
    masks = masks_of(REWIRING[variant](), trainer, monkeypatch)
    counts = [{name: int(kept.sum()) for name, kept in mask.items()} for mask in masks]
    assert len(counts) == 5
    assert all(found == counts[0] for found in counts)
    assert len({mask.digest() for mask in masks}) == 5, "every update moved the mask"
    first = trainer.groups.layers[0]
    assert (counts[0][first.name] == first.weights) == (variant == "rigl, uniform")


def test_set_grows_anywhere_with_the_same_chance(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    trainer.apply_mask(random_mask(trainer, "erk"))
    trainer.train(steps=1)
    start, before = trainer.snapshot(), held(trainer)
    name = trainer.groups.layers[-2].name
    counts = np.zeros(int((~before[name]).sum()))
    for _ in range(60):
        trainer.restore(start)
        trainer.apply_mask(before)
        rewire(trainer, 0.3, "random")
        counts += held(trainer)[name][~before[name]].numpy()
    assert counts.sum() > 500
    assert scipy.stats.chisquare(counts).pvalue > 0.01
