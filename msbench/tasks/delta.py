"""Δ_T: one number for how much better or worse a sparse network is than its dense twin, over all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msbench.tasks.task import MetricSpec

Metrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Delta:
    """Relative change against the dense network in percent; positive is better.

    per_task: AdapMTL eq. 7, the mean over a task's metrics. mean: the mean of `per_task`.
    sum: the mean over tasks of the sums over metrics, which is what the tables of the AdapMTL paper print,
    although its equation divides by the number of metrics. worst_task: the task with the least `per_task`.
    left_out: "task.metric" of each metric that is exactly 0 for the dense network, where no ratio exists.
    """

    per_task: dict[str, float]
    mean: float
    sum: float
    worst_task: str
    left_out: tuple[str, ...] = ()


def delta(sparse: Metrics, dense: Metrics, specs: Mapping[str, Mapping[str, MetricSpec]]) -> Delta:
    """Compare unrounded metrics of the sparse and the dense network of the same seed.

    sparse, dense: task to metric to value. specs: task to metric to direction; only `in_delta` metrics enter.
    Raises ValueError when a value is missing, or when not one metric can be compared.
    """
    changes: dict[str, list[float]] = {}
    left_out = []
    for task, metrics in specs.items():
        for metric, spec in metrics.items():
            if not spec.in_delta:
                continue
            before, after = _value(dense, "dense", task, metric), _value(sparse, "sparse", task, metric)
            if before == 0:
                left_out.append(f"{task}.{metric}")
                continue
            sign = 1.0 if spec.better == "higher" else -1.0
            changes.setdefault(task, []).append(sign * 100.0 * (after - before) / before)
    if not changes:
        raise ValueError(f"no metric to compare: {', '.join(left_out) or 'none is in_delta'}")

    per_task = {task: sum(values) / len(values) for task, values in changes.items()}
    return Delta(
        per_task=per_task,
        mean=sum(per_task.values()) / len(per_task),
        sum=sum(sum(values) for values in changes.values()) / len(changes),
        worst_task=min(per_task, key=lambda task: per_task[task]),
        left_out=tuple(left_out),
    )


def _value(metrics: Metrics, whose: str, task: str, metric: str) -> float:
    try:
        return metrics[task][metric]
    except KeyError:
        raise ValueError(f"the {whose} network has no {metric!r} for task {task!r}") from None
