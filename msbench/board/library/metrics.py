"""The page with the definition of every metric and derived figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from msbench.board.library.catalogue import DefinedMetric
from msbench.board.library.formulas import FIGURES, METRICS, SYMBOLS
from msbench.board.library.names import distinct, prose
from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site


@dataclass(frozen=True)
class MetricEntry:
    """One metric of a kind of task. `math` is empty where only its plugin knows the formula."""

    name: str
    label: str
    unit: str
    better: str
    in_delta: bool
    math: Markup
    words: Markup
    occurs: bool


@dataclass(frozen=True)
class KindSection:
    """A kind of task: the names that tasks of it have here, and its metrics."""

    kind: str
    tasks: Sequence[str]
    metrics: Sequence[MetricEntry]


def metric_pages(site: Site) -> Iterator[Page]:
    """One page: every metric that occurs in a record, and those of the installed datasets' tasks."""
    recorded, tasks = _recorded(site)
    occurring = {(metric.kind, metric.name) for metric in recorded}
    known = {(metric.kind, metric.name): metric for metric in (*recorded, *site.library.catalogue.metrics)}
    formulas = {(m.kind, m.name): m.formula for m in site.library.catalogue.metrics}
    kinds = distinct([*METRICS, *(kind for kind, _ in known)])
    sections = [
        KindSection(
            kind,
            distinct(tasks.get(kind, ())),
            [
                _entry(metric, formulas.get(key, ""), key in occurring)
                for key, metric in sorted(known.items(), key=lambda item: _place(*item[0]))
                if metric.kind == kind
            ],
        )
        for kind in kinds
    ]
    context = {"sections": [s for s in sections if s.metrics], "figures": FIGURES, "symbols": SYMBOLS}
    yield Page("metrics.html", "metrics.html", lambda: context, digest(repr(sections), repr(FIGURES)))


def _place(kind: str, name: str) -> int:
    """Where a metric stands among those of its kind: as they are defined, and unknown ones last."""
    known = list(METRICS.get(kind, {}))
    return known.index(name) if name in known else len(known)


def _recorded(site: Site) -> tuple[list[DefinedMetric], dict[str, list[str]]]:
    """Each metric of each kind of task as the newest record has it, and the names of the tasks by kind."""
    found: dict[tuple[str, str], DefinedMetric] = {}
    tasks: dict[str, list[str]] = {}
    for run in site.newest:
        for task in run.record.tasks:
            tasks.setdefault(task.kind, []).append(task.name)
            known = {**run.record.validation.get(task.name, {}), **run.record.metrics.get(task.name, {})}
            for name, value in known.items():
                if (task.kind, name) not in found:
                    found[task.kind, name] = DefinedMetric(
                        task.kind, name, value.label, value.unit, value.better, value.in_delta
                    )
    return list(found.values()), tasks


def _entry(metric: DefinedMetric, formula: str, occurs: bool) -> MetricEntry:
    definition = METRICS.get(metric.kind, {}).get(metric.name)
    words = definition.words if definition else formula or "Its plugin does not say how it is computed."
    return MetricEntry(
        metric.name,
        metric.label,
        metric.unit,
        metric.better,
        metric.in_delta,
        definition.math if definition else Markup(""),
        prose(words),
        occurs,
    )
