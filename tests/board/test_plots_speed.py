"""Speed-up figures: the Pareto front, and theory against measurement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msbench.board.plots.speed import pareto_front
from tests.board.conftest import Factory
from tests.board.test_plots import delta_records, figures_of, trace_of

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


def test_front_of_a_hand_drawn_case() -> None:
    """(2, 3) is beaten by (3, 3); (1, 1) by all; equal points stand together."""
    points = [(1.0, 5.0), (2.0, 3.0), (3.0, 3.0), (4.0, 1.0), (1.0, 1.0), (4.0, 1.0)]
    assert pareto_front(points) == [0, 2, 3, 5]


@given(POINTS)
def test_front_is_what_nobody_beats_and_beats_or_equals_the_rest(points: list[tuple[float, float]]) -> None:
    front = [points[index] for index in pareto_front(points)]
    assert front == sorted(front)
    assert [y for _, y in front] == sorted((y for _, y in front), reverse=True)
    assert all(any(a >= x and b >= y for a, b in front) for x, y in points)
    assert not any(a >= x and b >= y and (a, b) != (x, y) for x, y in front for a, b in front)


def test_front_is_drawn_through_what_is_fastest_at_its_quality(factory: Factory) -> None:
    records = [factory.record("dense", 0)]
    for name, delta, ratio in (("good", -1.0, 1.5), ("slow", -3.0, 1.2), ("fast", -5.0, 2.0)):
        (record,) = delta_records(factory, name, [delta])
        assert record.delta
        assert record.speedup
        part = record.speedup.measured["cpu"]
        assert part
        record.delta.per_task = dict.fromkeys(record.delta.per_task, delta)
        part.ratio, part.q25, part.q75 = ratio, ratio - 0.1, ratio + 0.2
        records.append(record)
    view = {view.key: view for view in figures_of(records)["front"].views}["worst.cpu"]
    line = trace_of(view, "Pareto front", "lines")
    assert (line["x"], line["y"]) == ([1.0, 1.5, 2.0], [0.0, -1.0, -5.0])
    assert line["text"] == ["dense", "good", "fast"]
    assert [(row[0], row[-1]) for row in view.numbers] == [
        ("dense", "yes"), ("good", "yes"), ("slow", "no"), ("fast", "yes"),
    ]  # fmt: skip
    marks = trace_of(view, "good")
    assert marks["error_x"]["array"] == pytest.approx([0.2])
    assert marks["error_x"]["arrayminus"] == pytest.approx([0.1])


def test_theory_has_a_diagonal_and_leaves_out_what_is_not_proven(factory: Factory) -> None:
    views = figures_of(factory.scene())["speed"].views
    assert [view.key for view in views] == ["theoretical.cpu", "macs.cpu"]
    diagonal, *traces = views[0].spec["data"]
    assert diagonal["x"] == diagonal["y"]
    assert {trace["name"] for trace in traces} == {"meta_sparsity", "one_shot_magnitude", "random"}
    assert len(views[0].numbers) == 3
    ratio = 1 / 0.56
    (one,) = [row for row in views[1].numbers if row[0] == "random"]
    assert float(one[2]) == pytest.approx(1.1 * (ratio + 1 / 0.55 + 1 / 0.54) / 3, abs=0.01)


def test_a_wide_range_of_ratios_is_drawn_on_a_logarithmic_axis(factory: Factory) -> None:
    records = factory.scene(1)
    for record in records:
        if record.sparsifier.name == "random" and record.speedup:
            record.speedup.theoretical = 20.0
    first, second = figures_of(records)["speed"].views
    assert first.spec["layout"]["xaxis"]["type"] == "log"
    assert first.spec["layout"]["xaxis"]["tickvals"] == [1, 2, 5, 10, 20, 50]
    assert "type" not in second.spec["layout"]["xaxis"]
