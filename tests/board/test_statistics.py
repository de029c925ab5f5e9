"""Summaries, intervals and areas, against closed forms, scipy and simulated populations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from msbench.board.statistics import MIN_BOOTSTRAP, Span, Summary, area, common_span, mean_interval, summarize
from msbench.board.statistics.interval import expanded_tail

VALUES = st.floats(-100, 100)


def test_spread_is_the_sample_standard_deviation() -> None:
    assert summarize([1.0, 2.0, 6.0]) == Summary(3.0, math.sqrt((4 + 1 + 9) / 2), 3)


def test_one_value_has_no_spread_and_no_value_no_summary() -> None:
    assert summarize([4.2]) == Summary(4.2, None, 1)
    assert summarize([]) is None


def test_fewer_than_three_seeds_give_no_interval() -> None:
    two, three = summarize([1.0, 2.0]), summarize([1.0, 2.0, 6.0])
    assert two is not None
    assert three is not None
    assert two.interval is None
    assert three.interval is not None


def test_a_small_samples_interval_is_students() -> None:
    """With 2 degrees of freedom the 97.5 % quantile is 4.3027 (any printed table)."""
    found = mean_interval([1.0, 2.0, 6.0])
    half = 4.302653 * math.sqrt(7) / math.sqrt(3)
    assert found.method == "t"
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


def test_a_larger_samples_interval_is_scipys_percentile_bootstrap_at_the_expanded_level() -> None:
    sample = np.random.default_rng(3).gamma(2.0, size=12)
    found = mean_interval(sample.tolist())
    oracle = stats.bootstrap(
        (sample,), np.mean, confidence_level=1 - 2 * expanded_tail(12), n_resamples=40_000, method="percentile", rng=5
    ).confidence_interval
    assert found.method == "bootstrap"
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.06 * float(sample.std()))


def test_the_expanded_tail_undoes_the_narrowness_of_plain_percentiles() -> None:
    """For normal data the percentile interval is z sqrt((n - 1) / n) s / sqrt(n); widened, it is Student's."""
    for n in (10, 20, 1000):
        z = -stats.norm.ppf(expanded_tail(n))
        assert z * math.sqrt((n - 1) / n) == pytest.approx(stats.t.ppf(0.975, n - 1))
    assert expanded_tail(10**7) == pytest.approx(0.025, rel=1e-4)


@given(st.lists(VALUES, min_size=3, max_size=14))
def test_an_interval_holds_the_mean_moves_with_the_values_and_repeats(values: list[float]) -> None:
    found, shifted = mean_interval(values), mean_interval([value + 50 for value in values])
    assert found == mean_interval(values)
    assert found.low <= np.mean(values) + 1e-9
    assert found.high >= np.mean(values) - 1e-9
    assert (shifted.low, shifted.high) == pytest.approx((found.low + 50, found.high + 50), abs=1e-6)


@pytest.mark.parametrize("n", [3, 5, MIN_BOOTSTRAP, 20])
def test_intervals_cover_the_mean_of_a_normal_population_nineteen_times_in_twenty(n: int) -> None:
    samples = np.random.default_rng(n).normal(size=(600, n))
    covered = [found.low <= 0 <= found.high for sample in samples if (found := mean_interval(sample.tolist()))]
    assert np.mean(covered) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 600)


def test_the_range_of_five_values_is_too_short_for_any_bootstrap() -> None:
    """Why small samples are not resampled: their range covers a symmetric centre with 1 - 2^(1 - n)."""
    samples = np.random.default_rng(0).normal(size=(20_000, 5))
    covered = np.mean((samples.min(axis=1) <= 0) & (samples.max(axis=1) >= 0))
    assert covered == pytest.approx(1 - 2 ** (1 - 5), abs=0.006)
    assert covered < 0.95


def test_the_area_of_straight_lines_is_exact() -> None:
    """y = 10 - 4x over [0.25, 1]: mean height 10 - 4 * 0.625; ends lie between points."""
    points = [(x, 10 - 4 * x) for x in (0.0, 0.4, 0.7, 1.0)]
    assert area(points, Span(0.25, 1.0)) == pytest.approx(7.5)


def test_the_area_agrees_with_a_triangle_worked_out_by_hand() -> None:
    """Up from 0 to 2 and down again over [0, 2]: area 2, mean height 1; equal places count as their mean."""
    assert area([(2.0, 0.0), (1.0, 1.0), (1.0, 3.0), (0.0, 0.0)], Span(0.0, 2.0)) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0, 1), VALUES), min_size=2, max_size=8), st.floats(-5, 5))
def test_a_mean_height_lies_between_the_points_and_shifts_with_them(
    points: list[tuple[float, float]], shift: float
) -> None:
    span = common_span([points])
    if span is None or span.high - span.low < 1e-6:
        return
    found = area(points, span)
    heights = [y for _, y in points]
    assert min(heights) - 1e-6 <= found <= max(heights) + 1e-6
    assert area([(x, y + shift) for x, y in points], span) == pytest.approx(found + shift, abs=1e-6)


def test_the_common_span_is_what_every_curve_reaches() -> None:
    assert common_span([[(0.5, 1), (0.9, 2)], [(0.6, 1), (0.95, 0)]]) == Span(0.6, 0.9)
    assert common_span([[(0.1, 1), (0.3, 2)], [(0.6, 1), (0.95, 0)]]) is None
    assert common_span([]) is None
