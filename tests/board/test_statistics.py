from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msbench.board.statistics import Summary, holm, paired_p_value, rank_ranges, summarize


def test_spread_is_the_sample_standard_deviation() -> None:
    assert summarize([1.0, 2.0, 6.0]) == Summary(3.0, math.sqrt((4 + 1 + 9) / 2), 3)


def test_one_value_has_no_spread_and_no_value_no_summary() -> None:
    assert summarize([4.2]) == Summary(4.2, None, 1)
    assert summarize([]) is None


def test_paired_t_test_agrees_with_the_closed_form_for_three_pairs() -> None:
    """With 2 degrees of freedom p = 1 - t / sqrt(2 + t^2); differences 1, 2, 3 give t = 2 sqrt(3)."""
    t = 2 * math.sqrt(3)
    assert paired_p_value([11.0, 22.0, 33.0], [10.0, 20.0, 30.0]) == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_differences_without_spread_are_not_evidence() -> None:
    assert paired_p_value([3.0, 4.0, 5.0], [2.0, 3.0, 4.0]) == 1.0
    assert paired_p_value([1.0, 1.0], [1.0, 1.0]) == 1.0


def test_holm_agrees_with_the_adjustment_worked_out_by_hand() -> None:
    """Sorted: 4 x .005, 3 x .01, 2 x .03, then 1 x .04 raised to the .06 before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


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


def test_only_seeds_shared_by_all_methods_count() -> None:
    scores = {"a": {0: 1.0, 1: 1.1, 2: 0.9, 9: 99.0}, "b": {0: 5.0, 1: 5.2, 2: 4.9}}
    assert rank_ranges(scores) == {"b": (1, 1), "a": (2, 2)}


@pytest.mark.parametrize("scores", [{}, _scores(a=[1, 2, 3]), _scores(a=[1, 2], b=[8, 9])])
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
