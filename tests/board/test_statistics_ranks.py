"""Pairwise tests, Holm's correction and rank ranges, against closed forms, scipy and simulated boards."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from msbench.board.statistics import ALPHA, holm, paired_p_values, rank_ranges
from msbench.board.statistics.ranks import beaten_by

BOARDS, METHODS, SEEDS = 2000, 6, 5
MARGIN = 3 * math.sqrt(ALPHA * (1 - ALPHA) / BOARDS)
"""Three standard errors of a simulated rate."""


def test_the_paired_t_test_agrees_with_the_closed_form_for_three_pairs() -> None:
    """With 2 degrees of freedom p = 1 - t / sqrt(2 + t^2); differences 1, 2, 3 give t = 2 sqrt(3)."""
    t = 2 * math.sqrt(3)
    found = paired_p_values([[11.0, 22.0, 33.0], [10.0, 20.0, 30.0]])
    assert found == pytest.approx([1 - t / math.sqrt(2 + t * t)])


def test_all_pairs_agree_with_scipy() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 5))
    expected = [stats.ttest_rel(scores[i], scores[j]).pvalue for i in range(4) for j in range(i + 1, 4)]
    assert paired_p_values(scores) == pytest.approx(expected)


def test_a_pair_is_tested_on_the_seeds_that_both_have() -> None:
    first, second = [1.0, 2.0, 4.0, 9.0, np.nan], [0.0, 3.0, 1.0, np.nan, 7.0]
    expected = stats.ttest_rel(first[:3], second[:3]).pvalue
    assert paired_p_values([first, second]) == pytest.approx([expected])
    assert paired_p_values([[1.0, 5.0, np.nan], [0.0, 0.1, 0.2]]) == [1.0]


def test_differences_without_spread_are_not_evidence() -> None:
    assert paired_p_values([[3.0, 4.0, 5.0], [2.0, 3.0, 4.0]]) == [1.0]
    assert paired_p_values([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]) == [1.0]


def test_holm_agrees_with_the_adjustment_worked_out_by_hand() -> None:
    """Sorted: 4 x .005, 3 x .01, 2 x .03, then 1 x .04 raised to the .06 before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([[0.01, 0.04], [0.5, 0.6]]) == pytest.approx(np.array([[0.02, 0.04], [1.0, 1.0]]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_nor_reorders(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert all(adjusted[i] <= adjusted[j] for i, j in pairwise(order))


def _scores(**methods: list[float]) -> dict[str, dict[int, float]]:
    return {name: dict(enumerate(values)) for name, values in methods.items()}


def test_clearly_separated_methods_get_single_ranks() -> None:
    ranges = rank_ranges(
        _scores(worst=[-20, -21, -20.5, -20.2], best=[-1.0, -1.2, -0.9, -1.1], middle=[-9, -10, -9.4, -9.6])
    )
    assert ranges == {"best": (1, 1), "middle": (2, 2), "worst": (3, 3)}


def test_methods_that_cannot_be_told_apart_share_a_range() -> None:
    ranges = rank_ranges(_scores(a=[-1.0, -2.0, -1.5], b=[-1.4, -1.3, -1.9], c=[-30, -30.4, -29.8]))
    assert ranges == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def test_only_seeds_that_a_pair_shares_count() -> None:
    scores = {"a": {0: 1.0, 1: 1.1, 2: 0.9, 9: 99.0}, "b": {0: 5.0, 1: 5.2, 2: 4.9}}
    assert rank_ranges(scores) == {"b": (1, 1), "a": (2, 2)}


def test_a_method_with_too_few_seeds_is_left_out_and_spoils_nothing() -> None:
    scores = _scores(a=[1.0, 1.1, 0.9], b=[5.0, 5.2, 4.9]) | {"new": {0: 9.0}}
    assert rank_ranges(scores) == {"b": (1, 1), "a": (2, 2)}


def test_methods_without_common_seeds_are_tied_where_others_are_ranked() -> None:
    scores = _scores(a=[1.0, 1.1, 0.9], b=[5.0, 5.2, 4.9]) | {"elsewhere": {7: 9.0, 8: 9.1, 9: 9.2}}
    assert rank_ranges(scores) == {"b": (1, 2), "a": (2, 3), "elsewhere": (1, 3)}


@pytest.mark.parametrize(
    "scores",
    [{}, _scores(a=[1, 2, 3]), _scores(a=[1, 2], b=[8, 9]), {"a": {0: 1, 1: 2, 2: 4}, "b": {3: 1, 4: 2, 5: 4}}],
)
def test_too_few_seeds_or_methods_give_no_ranking(scores: dict[str, dict[int, float]]) -> None:
    assert rank_ranges(scores) == {}


@given(
    st.lists(st.lists(st.floats(-100, 100), min_size=4, max_size=4), min_size=2, max_size=6),
)
def test_every_range_lies_within_the_field_and_the_best_mean_can_be_first(table: list[list[float]]) -> None:
    scores = {str(index): dict(enumerate(row)) for index, row in enumerate(table)}
    ranges = rank_ranges(scores)
    assert all(1 <= low <= high <= len(table) for low, high in ranges.values())
    best = max(scores, key=lambda name: sum(scores[name].values()))
    assert ranges[best][0] == 1


def _boards(kind: str) -> np.ndarray:
    """Simulated scores (boards, methods, seeds) with a common seed effect and unequal spreads."""
    rng = np.random.default_rng(20)
    shape = (BOARDS, METHODS, SEEDS)
    noise = rng.standard_t(3, size=shape) if kind == "heavy tails" else rng.normal(size=shape)
    spreads = np.linspace(0.3, 3.0, METHODS)[:, None]
    return np.asarray(noise * spreads + rng.normal(size=(BOARDS, 1, SEEDS)) * 4)


@pytest.mark.parametrize("kind", ["normal", "heavy tails"])
def test_equal_methods_are_set_in_a_false_order_on_one_board_in_twenty_at_most(kind: str) -> None:
    began = time.process_time()
    rate = beaten_by(_boards(kind)).any(axis=(-1, -2)).mean()
    assert rate <= ALPHA + MARGIN
    assert time.process_time() - began < 5


def test_without_the_correction_the_rate_would_be_several_times_the_level() -> None:
    """The guard above can fail: the same boards, uncorrected."""
    assert (paired_p_values(_boards("normal")) < ALPHA).any(axis=-1).mean() > 3 * ALPHA


def test_methods_that_are_equal_stay_tied_beside_others_that_are_not() -> None:
    """Strong control: three equal methods, three far better ones; only orders among equals are false."""
    boards = _boards("normal")
    boards[:, :3] += 200.0
    beats = beaten_by(boards)
    false = beats[:, :3, :3].any(axis=(-1, -2)) | beats[:, 3:, 3:].any(axis=(-1, -2))
    assert false.mean() <= ALPHA + MARGIN
    assert beats[:, :3, 3:].mean() > 0.99
    assert not beats[:, 3:, :3].any()


def test_a_real_difference_is_found() -> None:
    """One method ahead by eight standard deviations of its noise: first, and alone, on most boards of five seeds."""
    rng = np.random.default_rng(1)
    boards = rng.normal(size=(BOARDS, METHODS, SEEDS)) + rng.normal(size=(BOARDS, 1, SEEDS)) * 4
    boards[:, 0] += 8.0
    assert beaten_by(boards)[:, 0, 1:].all(axis=-1).mean() > 0.7
    assert beaten_by(boards)[:, 0, 1:].mean() > 0.9
