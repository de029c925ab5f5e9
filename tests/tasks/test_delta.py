"""Δ_T against the published arithmetic of AdapMTL (ACM MM 2024), Tables 1 and 2."""

from __future__ import annotations

import pytest

from msbench.tasks.delta import delta
from msbench.tasks.task import MetricSpec

UP, DOWN = MetricSpec("higher", ""), MetricSpec("lower", "")
SPECS = {
    "segmentation": {"miou": UP, "pixel_accuracy": UP},
    "normals": {"mean": DOWN, "median": DOWN, "within_11_25": UP, "within_22_5": UP, "within_30": UP},
    "depth": {"abs": DOWN, "rel": DOWN, "delta1": UP, "delta2": UP, "delta3": UP},
}

RESNET34 = [25.54, 57.91, 17.11, 14.95, 36.35, 72.25, 85.44, 0.55, 0.22, 65.21, 89.87, 97.52]
MOBILENET = [19.94, 48.71, 17.85, 16.21, 29.77, 72.19, 86.19, 0.64, 0.24, 58.93, 86.27, 96.16]

# metrics in the order of SPECS, then the printed Δ of the three tasks and of all
TABLE_1_SNIP = [24.09, 55.32, 16.94, 14.93, 36.17, 72.39, 86.98, 0.61, 0.23, 60.61, 87.88, 96.77]
TABLE_2 = {
    "SNIP": (
        [18.96, 46.93, 18.33, 16.97, 28.93, 71.21, 85.78, 0.64, 0.25, 56.75, 85.71, 95.33],
        [-8.57, -12.03, -9.38, -9.99, -2.86],
    ),
    "LTH": (
        [19.14, 47.25, 17.67, 16.32, 29.67, 72.15, 86.22, 0.65, 0.25, 57.68, 85.89, 96.13],
        [-7.01, -0.03, -8.32, -5.12, -1.72],
    ),
    "IMP": (
        [18.76, 48.12, 18.71, 16.68, 29.63, 71.76, 85.91, 0.64, 0.23, 59.75, 86.52, 96.31],
        [-7.13, -9.11, 6.00, -3.41, -1.40],
    ),
    "DiSparse": (
        [19.87, 48.83, 17.92, 16.79, 29.87, 71.76, 85.64, 0.65, 0.24, 58.42, 85.72, 96.28],
        [-0.10, -4.87, -2.94, -2.64, -0.54],
    ),
    "AdapMTL, one threshold": (
        [18.93, 47.51, 18.16, 16.87, 28.37, 71.53, 86.63, 0.65, 0.24, 58.26, 85.82, 95.92],
        [-7.53, -10.91, -3.47, -7.30, -2.21],
    ),
    "AdapMTL": (
        [20.16, 49.14, 17.53, 15.96, 30.16, 72.36, 86.51, 0.64, 0.24, 59.03, 86.57, 96.38],
        [1.99, 5.25, 0.75, 2.66, 0.73],
    ),
}


def by_task(row: list[float]) -> dict[str, dict[str, float]]:
    numbers = iter(row)
    return {task: {metric: next(numbers) for metric in metrics} for task, metrics in SPECS.items()}


def test_first_table_prints_the_sum_where_its_equation_says_mean():
    found = delta(by_task(TABLE_1_SNIP), by_task(RESNET34), SPECS)
    assert found.sum == pytest.approx(-11.00, abs=0.005)
    assert found.mean == pytest.approx(-3.22, abs=0.005)
    assert found.per_task["depth"] == pytest.approx(-25.49 / 5, abs=0.002)
    assert found.per_task["segmentation"] == pytest.approx(-10.15 / 2, abs=0.005)
    assert found.worst_task == "depth" if found.per_task["depth"] < found.per_task["segmentation"] else "segmentation"
    assert found.left_out == ()


@pytest.mark.parametrize("method", TABLE_2)
def test_second_table_is_reproduced_to_a_hundredth(method):
    row, (segmentation, normals, depth, total, mean) = TABLE_2[method]
    found = delta(by_task(row), by_task(MOBILENET), SPECS)
    sums = {task: found.per_task[task] * len(SPECS[task]) for task in SPECS}
    assert sums == pytest.approx({"segmentation": segmentation, "normals": normals, "depth": depth}, abs=0.0101)
    assert found.sum == pytest.approx(total, abs=0.0101)
    assert found.mean == pytest.approx(mean, abs=0.0101)


def test_a_network_compared_with_itself_scores_zero():
    found = delta(by_task(RESNET34), by_task(RESNET34), SPECS)
    assert found.mean == found.sum == 0.0


def test_direction_decides_the_sign_and_the_worst_task_is_the_least():
    specs = {"a": {"up": UP}, "b": {"down": DOWN}}
    found = delta({"a": {"up": 1.1}, "b": {"down": 1.2}}, {"a": {"up": 1.0}, "b": {"down": 1.0}}, specs)
    assert found.per_task == pytest.approx({"a": 10, "b": -20})
    assert found.worst_task == "b"


def test_only_metrics_of_the_delta_enter():
    specs = {"a": {"up": UP, "extra": MetricSpec("higher", "", in_delta=False)}}
    assert delta({"a": {"up": 2.0}}, {"a": {"up": 1.0}}, specs).mean == pytest.approx(100)


def test_a_dense_metric_of_zero_is_left_out_and_named():
    specs = {"a": {"up": UP, "other": UP}, "b": {"up": UP}}
    sparse = {"a": {"up": 1.0, "other": 2.2}, "b": {"up": 1.0}}
    found = delta(sparse, {"a": {"up": 0.0, "other": 2.0}, "b": {"up": 0.0}}, specs)
    assert found.left_out == ("a.up", "b.up")
    assert found.per_task == pytest.approx({"a": 10})
    assert found.mean == pytest.approx(10)


def test_nothing_to_compare_is_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"no metric to compare: a\.up"):
        delta({"a": {"up": 1.0}}, {"a": {"up": 0.0}}, {"a": {"up": UP}})


def test_a_missing_value_is_named():
    with pytest.raises(ValueError, match="the sparse network has no 'up' for task 'a'"):
        delta({}, {"a": {"up": 1.0}}, {"a": {"up": UP}})
