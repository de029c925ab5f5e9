"""The metrics page: every metric of the standard tasks is defined there, as sound MathML; and how to read statuses."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from msbench.board.library.formulas import FIGURES, METRICS
from msbench.board.library.mathml import formula, frac, row
from msbench.board.library.reading import STATUSES
from msbench.plugins import Plugins
from msbench.records.record import Status
from msbench.runs.catalogue import catalogue
from msbench.tasks.edges import EdgesTask
from msbench.tasks.task import Task


def standard_tasks(plugins: Plugins) -> list[Task]:
    """The tasks of every built-in dataset that can be asked without data, and binary edges."""
    embedded = [cls for cls in plugins.classes("dataset").values() if cls.__module__.startswith("msbench_plugins")]
    tasks = [task for cls in embedded if cls.synthetic for task in cls().tasks()]  # type: ignore[attr-defined]
    return [*tasks, EdgesTask(binary=True)]


def test_every_metric_of_the_standard_tasks_is_defined_and_no_other(plugins: Plugins) -> None:
    known: dict[str, set[str]] = {}
    for task in standard_tasks(plugins):
        known.setdefault(task.kind, set()).update(task.metrics)
    assert {kind: set(metrics) for kind, metrics in METRICS.items()} == known


def test_the_page_has_every_metric_of_the_records_with_direction_and_unit(site: Path) -> None:
    html = (site / "metrics.html").read_text()
    traits = {
        re.sub(r"<[^>]+>", "", title): " ".join(re.sub(r"<[^>]+>", "", line).split())
        for title, line in re.findall(r"<h3>(.*?)</h3>\s*<p class=\"traits\">(.*?)</p>", html)
    }
    assert traits["mIoU miou"] == "higher is better ↑ · in % · in Δ_T"
    assert traits["absolute error abs"] == "lower is better ↓ · in m · in Δ_T"
    assert traits["relative error rel"] == "lower is better ↓ · no unit · in Δ_T"
    assert "within 11.25° within_11" in traits, "a metric that only the records know"


@pytest.mark.parametrize(
    "math", [definition.math for part in (*METRICS.values(), FIGURES) for definition in part.values()]
)
def test_formulas_are_sound(math: str) -> None:
    tree = ElementTree.fromstring(math)
    counts = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "msqrt": 1, "math": 1}
    for element in tree.iter():
        if element.tag in counts:
            assert len(element) == counts[element.tag], math
        if element.tag in ("mi", "mn", "mo", "mtext"):
            assert element.text, math
            assert not re.search(r"[_^\\']", element.text), math


def test_words_become_variables_numbers_operators_indices_and_prose() -> None:
    made = formula(frac("a_b", "2 x^3"), row("≤ 'kept weights' <"))
    assert made == (
        '<math display="block"><mrow><mfrac><mrow><msub><mi>a</mi><mi>b</mi></msub></mrow><mrow><mn>2</mn><msup>'
        "<mi>x</mi><mn>3</mn></msup></mrow></mfrac><mrow>"
        "<mo>≤</mo><mtext>kept weights</mtext><mo>&lt;</mo></mrow></mrow></math>"
    )


def test_every_status_is_explained(site: Path) -> None:
    assert set(STATUSES) == set(typing.get_args(Status))
    html = (site / "reading.html").read_text()
    assert all(f"<dt>{name.replace('_', ' ')}</dt>" in html for name in STATUSES)


def test_a_class_is_described_field_by_field(plugins: Plugins) -> None:
    found = catalogue(plugins)
    meta = {p.name: p for p in found.methods["meta_sparsity"].parameters}
    assert meta["phi"].type == "float"
    assert meta["phi"].default == "0.4"
    assert meta["phi"].doc.startswith("Share of the network's sensitivity")
    assert meta["inner_lr"].doc == meta["inner_steps"].doc == "κ and α_in."
    assert meta["meta_batch"].doc == "Episodes drawn an outer step."
    assert not any("meta_share:" in paragraph for paragraph in found.methods["meta_sparsity"].description)
    assert found.methods["random"].given == {"criterion": "random"}
    assert found.methods["meta_sparsity"].rulings
    assert found.packages["msbench"].components["sparsifier"]
    assert found.datasets["rooms"].synthetic
    assert found.datasets["cityscapes"].source
    assert not found.datasets["rooms"].source


@pytest.mark.parametrize("kind", ["sparsifier", "dataset"])
def test_every_built_in_class_is_in_the_catalogue_with_a_summary(plugins: Plugins, kind: str) -> None:
    found = catalogue(plugins)
    known = {"sparsifier": found.methods, "dataset": found.datasets}[kind]
    assert set(known) == set(plugins.components[kind])
    assert all(item.summary for item in known.values())
