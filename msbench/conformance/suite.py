"""Which rules hold for which kind, and the cases of a plugin class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from msbench.conformance.case import Case, Rule
from msbench.conformance.criteria import CriterionSubject
from msbench.conformance.data import DatasetSubject
from msbench.conformance.networks import BackboneSubject, BalancerSubject, HeadSubject
from msbench.conformance.rules import (
    balancers,
    common,
    criteria,
    datasets,
    networks,
    results,
    resuming,
    sparsifiers,
)
from msbench.conformance.runs import SparsifierSubject
from msbench.conformance.subject import Subject
from msbench.plugins import Component, Plugins, load_plugins, source_of

SUBJECTS: Final[Mapping[str, type[Subject]]] = MappingProxyType(
    {
        "sparsifier": SparsifierSubject,
        "dataset": DatasetSubject,
        "backbone": BackboneSubject,
        "head": HeadSubject,
        "criterion": CriterionSubject,
        "loss balancer": BalancerSubject,
    }
)
RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "sparsifier": (*common.COMMON, *sparsifiers.RUNS, *resuming.RESUMING, *results.RESULTS),
        "dataset": (*common.COMMON, *datasets.DATASETS),
        "backbone": (*common.COMMON, *networks.BACKBONES),
        "head": (*common.COMMON, *networks.HEADS),
        "criterion": (*common.COMMON, *criteria.CRITERIA),
        "loss balancer": balancers.BALANCERS,
    }
)
"""Kind to its rules, in the order in which they run."""


def cases(cls: type, **params: Any) -> list[Case]:
    """One case a rule (and named variant) of a plugin class, with these parameters in place of defaults.

    For a plugin's own tests: `@pytest.mark.parametrize("case", cases(Mine), ids=str)` and `case.run()`.
    """
    plugins = load_plugins([source_of(cls)])
    found = [c for kind in plugins.components.values() for c in kind.values() if c.cls is cls]
    return list(cases_of(plugins, found[0], params, (source_of(cls),)))


def cases_of(
    plugins: Plugins, component: Component, params: Mapping[str, Any], sources: tuple[str, ...]
) -> Iterator[Case]:
    """The cases of one name: of a class with variants, its own name stands for all of them.

    sources: what another process must load to have the class, as `--plugin` takes it.
    """
    variants = getattr(component.cls, "variants", {})
    names = list(variants) if variants and component.name == component.cls.name else [component.name]  # type: ignore[attr-defined]
    for name in names:
        named = plugins.get(component.kind, name)
        subject = SUBJECTS[component.kind](plugins, named, params, sources)
        yield from (Case(subject, rule) for rule in RULES[component.kind])
