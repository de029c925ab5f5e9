"""Friedman's test and Nemenyi's critical difference, against Demšar's worked example and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from msbench.board.statistics import friedman
from msbench.board.statistics.friedman import cliques, critical_difference

DEMSAR = np.array(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)  # fmt: skip
"""Ranks of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets (Demšar, JMLR 7, 2006, table 6)."""


def test_demsars_example_is_reproduced() -> None:
    """Printed there: average ranks, chi-square 9.28 and F 3.69 (without a correction for ties), CD 1.25 at 5 %."""
    found = friedman(-DEMSAR)
    assert found.average_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert found.problems == 14
    ties = sum(count**3 - count for row in DEMSAR for count in np.unique(row, return_counts=True)[1])
    chi_square = found.chi_square * (1 - ties / (14 * 4 * (16 - 1)))
    assert chi_square == pytest.approx(9.28, abs=0.01)
    assert 13 * chi_square / (14 * 3 - chi_square) == pytest.approx(3.69, abs=0.01)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.cliques == ((3, 1, 2, 0),)


def test_demsars_second_level_tells_two_groups_apart() -> None:
    """At 10 % the critical difference is 1.12: C4.5 is worse than both with m, and nothing is said of C4.5+cf."""
    found = friedman(-DEMSAR, alpha=0.10)
    assert found.critical_difference == pytest.approx(1.12, abs=0.005)
    assert found.cliques == ((3, 1, 2), (2, 0))


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (9, 3.102), (10, 3.164)]
)
def test_critical_values_are_those_of_demsars_table(methods: int, q: float) -> None:
    assert critical_difference(methods, 1) / math.sqrt(methods * (methods + 1) / 6) == pytest.approx(q, abs=1e-3)


def test_nine_methods_on_two_problems() -> None:
    """As R prints for these ranks: chi-square 11.733 on 8 degrees of freedom, Iman and Davenport's 2.75, p 0.08697."""
    found = friedman(-np.array([[1, 8, 6, 4, 7, 2, 5, 3, 9], [1, 6, 3, 9, 7, 2, 8, 4, 5]]))
    assert (found.chi_square, found.f, found.p_value) == pytest.approx((11.733, 2.75, 0.08697), abs=5e-4)


def test_the_statistic_is_scipys_and_the_better_score_has_the_better_rank() -> None:
    scores = np.random.default_rng(2).normal(size=(8, 5)) + np.arange(5)
    found = friedman(scores)
    assert found.chi_square == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    assert found.average_ranks[4] == min(found.average_ranks)


def test_problems_that_all_agree_and_problems_that_say_nothing() -> None:
    agree = friedman([[3.0, 2.0, 1.0]] * 12)
    assert (agree.f, agree.p_value) == (math.inf, 0.0)
    assert agree.cliques == ((0,), (1,), (2,))
    silent = friedman([[1.0, 1.0, 1.0]] * 4)
    assert (silent.chi_square, silent.p_value, silent.cliques) == (0.0, 1.0, ((0, 1, 2),))


@pytest.mark.parametrize("scores", [[[1.0, 2.0, 3.0]], [[1.0, 2.0], [2.0, 1.0]]])
def test_one_problem_or_two_methods_are_refused(scores: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two problems and three methods"):
        friedman(scores)


def test_cliques_are_maximal_and_a_difference_as_large_as_the_critical_one_counts() -> None:
    assert cliques([1.0, 2.0, 3.0, 4.5], 1.0) == ((0,), (1,), (2,), (3,))
    assert cliques([4.5, 3.0, 2.0, 1.0], 2.0) == ((3, 2), (2, 1), (1, 0))
    assert cliques([1.0, 1.1, 5.0], 9.0) == ((0, 1, 2),)
