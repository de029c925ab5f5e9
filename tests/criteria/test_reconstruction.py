"""ThiNet and channel pruning against real convolutions, brute force and the lasso's optimality conditions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from msbench_plugins.criteria.reconstruction import (
    PENALTIES,
    ChannelPruning,
    ThiNet,
    _descend,
    greedy_errors,
    lasso_errors,
)
from msbench_plugins.criteria.sites import contributions
from tests.criteria.isolated import Make, inputs_in_eval


def changed_afterwards() -> nn.Conv2d:
    """As a dilated backbone is made from a plain one."""
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1)
    conv.stride, conv.dilation, conv.padding = (1, 1), (2, 2), (2, 2)
    return conv


LAYERS = {
    "changed": (changed_afterwards(), (2, 4, 9, 8)),
    "valid": (nn.Conv2d(4, 6, 3, padding="valid"), (2, 4, 9, 8)),
    "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (2, 4, 9, 8)),
    "dilated": (nn.Conv2d(4, 6, (3, 2), dilation=(2, 1)), (2, 4, 9, 8)),
    "same": (nn.Conv2d(4, 6, 4, padding="same"), (2, 4, 7, 7)),
    "reflected": (nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="reflect"), (2, 4, 7, 7)),
    "groups": (nn.Conv2d(8, 6, 3, groups=2), (2, 8, 7, 7)),
    "one dimension": (nn.Conv1d(4, 6, 3), (2, 4, 9)),
    "three dimensions": (nn.Conv3d(4, 6, 2, padding=1), (2, 4, 3, 4, 5)),
    "linear": (nn.Linear(4, 6), (5, 4)),
    "tokens": (nn.Linear(4, 6), (2, 5, 4)),
}


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", LAYERS)
def test_a_contribution_is_the_layers_output_for_that_channel_alone(kind: str) -> None:
    layer, shape = LAYERS[kind]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    z = contributions(layer, x, 10**9, torch.Generator())  # type: ignore[arg-type]
    assert z.shape[1] == layer.weight.shape[1]
    dim = -1 if isinstance(layer, nn.Linear) else 1
    bias, silence = layer.bias, torch.zeros_like(x)
    layer.bias = None
    for channel in range(z.shape[1]):
        members = torch.arange(channel, x.shape[dim], z.shape[1])  # one a convolution group
        output = layer(silence.index_copy(dim, members, x.index_select(dim, members)))
        if kind == "tokens":
            output = output.transpose(1, 2)  # contributions run over outputs, then positions
        assert torch.allclose(z[:, channel], output.flatten(), atol=1e-5)
    layer.bias = bias


def test_contributions_are_drawn_at_random_and_repeat_with_the_generator() -> None:
    conv, x = nn.Conv2d(4, 6, 3), torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    first, same, other = (contributions(conv, x, 200, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (200, 4)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    everything = {tuple(row) for row in contributions(conv, x, 10**9, torch.Generator()).tolist()}
    assert all(tuple(row) in everything for row in first.tolist())


@torch.no_grad()
def test_greedy_removes_what_changes_a_real_convolution_least() -> None:
    generator = torch.Generator().manual_seed(0)
    conv, x = nn.Conv2d(6, 5, 3, padding=1, bias=False), torch.rand(4, 6, 8, 8, generator=generator)
    weight, dense = conv.weight.clone(), conv(x)

    def error(removed: list[int]) -> float:
        conv.weight.copy_(weight)
        conv.weight[:, removed] = 0
        return float((dense - conv(x)).square().sum() / dense.square().sum())

    removed: list[int] = []
    errors: list[float] = []
    while len(removed) < 6:
        best = min((c for c in range(6) if c not in removed), key=lambda c: error([*removed, c]))
        removed.append(best)
        errors.append(error(removed))
    conv.weight.copy_(weight)
    z = contributions(conv, x, 10**9, torch.Generator()).double()
    scores = greedy_errors((z.T @ z).numpy())
    assert scores.argsort().tolist() == removed
    assert np.allclose(scores[removed], np.maximum.accumulate(errors), rtol=1e-4)


def test_a_pair_that_cancels_goes_first_and_costs_nothing_more() -> None:
    """z_2 = -z_1: alone the first of them costs its energy, the second then undoes that."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=(500, 4))
    z[:, 2] = -z[:, 1]
    z[:, 0] *= 5
    z[:, 3] *= 5
    scores = greedy_errors(z.T @ z)
    assert set(scores.argsort()[:2].tolist()) == {1, 2}
    assert scores[1] == pytest.approx(scores[2], rel=1e-9)
    assert scores[1] != scores[2], "the order of removal stays"
    assert scores[1] == pytest.approx(float((z[:, 1] ** 2).sum() / (z.sum(1) ** 2).sum()))


def test_an_empty_channel_costs_nothing_and_a_silent_layer_is_not_ranked() -> None:
    z = np.random.default_rng(0).normal(size=(50, 3))
    z[:, 1] = 0
    for errors in (greedy_errors, lasso_errors):
        scores = errors(z.T @ z)
        assert scores.argmin() == 1
        assert scores[1] == pytest.approx(0, abs=1e-12)
        assert not errors(np.zeros((3, 3))).any()


@given(st.integers(0, 10**6), st.integers(2, 8))
def test_scores_are_finite_distinct_orders(seed: int, channels: int) -> None:
    z = np.random.default_rng(seed).normal(0.3, 1, size=(40, channels))
    greedy, lasso = greedy_errors(z.T @ z), lasso_errors(z.T @ z)
    assert np.isfinite(greedy).all()
    assert np.isfinite(lasso).all()
    assert len(np.unique(greedy)) == channels
    assert lasso.max() == pytest.approx(1)
    assert (lasso >= 0).all()


def test_channel_pruning_keeps_the_best_subset_of_four() -> None:
    """Channels of clearly different weight and mild correlation: the lasso's order is brute force's for every size."""
    generator = np.random.default_rng(3)
    z = (generator.normal(size=(4000, 4)) + 0.3 * generator.normal(size=(4000, 1))) * np.array([2.0, 0.3, 1.0, 4.0])
    y, order = z.sum(1), lasso_errors(z.T @ z).argsort()[::-1]

    def error(kept: tuple[int, ...]) -> float:
        fit, *_ = np.linalg.lstsq(z[:, list(kept)], y, rcond=None)
        return float(((y - z[:, list(kept)] @ fit) ** 2).sum())

    for size in (1, 2, 3):
        best = min(combinations(range(4), size), key=error)
        assert set(order[:size].tolist()) == set(best)


def test_the_lasso_needs_only_one_of_two_equal_channels() -> None:
    """Channel 1 twice as strong as its copy 2: β_1 alone makes up for both, so 2 never enters; greedy keeps both."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=(500, 3))
    z[:, 2] = 0.5 * z[:, 1]
    scores = lasso_errors(z.T @ z)
    assert scores.argmin() == 2
    assert scores[2] < 0.01 < scores[0]


@given(st.integers(0, 10**6))
def test_coordinate_descent_satisfies_the_optimality_conditions(seed: int) -> None:
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(60, 7)) + generator.normal(size=(60, 1))
    gram = z.T @ z
    target = gram.sum(1)
    largest = np.abs(target).max()
    beta, correlation = np.zeros(7), target.copy()
    for penalty in largest * PENALTIES[1::8]:
        _descend(gram, beta, correlation, penalty)
        exact, active = target - gram @ beta, beta != 0
        assert active.any()
        assert (np.abs(exact) <= 1.02 * penalty).all()
        assert (np.abs(exact - penalty * np.sign(beta))[active] <= 0.02 * penalty).all()


@torch.no_grad()
def test_on_the_network_the_first_to_go_changes_the_output_least(make_trainer: Make) -> None:
    trainer, other = make_trainer(), make_trainer()
    scores = ThiNet(values=10**9).score(trainer)
    assert trainer.allowance.spent == 8
    for name, x in inputs_in_eval(other, other.next_batch().image).items():
        conv = other.model.get_submodule(name)
        dense, weight = conv(x), conv.weight.clone()
        errors = []
        for channel in range(weight.shape[1]):
            conv.weight[:, channel] = 0
            errors.append(float((conv(x) - dense).square().sum() / dense.square().sum()))
            conv.weight.copy_(weight)
        first = int(scores[name].argmin())
        assert errors[first] == pytest.approx(min(errors), rel=1e-4)
        assert float(scores[name][first]) == pytest.approx(errors[first], rel=1e-3)


def test_more_values_bring_the_estimate_nearer(make_trainer: Make) -> None:
    exact = ThiNet(values=10**9).score(make_trainer(width=8))

    def distance(values: int) -> float:
        found = ThiNet(values=values).score(make_trainer(width=8))
        return float(sum((found[name] - exact[name]).abs().mean() for name in exact))

    assert distance(2000) < distance(20) / 2


def test_channel_pruning_spends_its_batches(make_trainer: Make) -> None:
    trainer = make_trainer()
    ChannelPruning(batches=3, values=64).score(trainer)
    assert trainer.allowance.spent == 24
