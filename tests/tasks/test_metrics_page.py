"""docs/reference/metrics.md says what the code computes: every metric and option of every task, in the same words."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from msbench import api
from msbench.tasks.task import MetricSpec, Task
from msbench.training.settings import TrainingSettings

from .conftest import TASKS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
STANDARD = [
    value
    for value in vars(api).values()
    if inspect.isclass(value) and issubclass(value, Task) and not inspect.isabstract(value)
]


def section(task: Task) -> str:
    binary = getattr(task, "binary", False)
    return SECTIONS[f"{task.kind}{', `binary`' if binary else ''}: `{type(task).__name__}`"]


def documented(text: str) -> dict[str, MetricSpec]:
    """The metrics of a section's table, in its order."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE)
    found = {}
    for name, rest in rows:
        label, unit, better, in_delta, formula = (cell.strip() for cell in re.split(r"(?<!\\)\|", rest))
        found[name] = MetricSpec(better, label, unit, in_delta == "yes", formula.replace(r"\|", "|"))
    return found


def test_every_metric_is_on_the_page_as_it_is_in_the_code(task: Task) -> None:
    found = documented(section(task))
    assert found == dict(task.metrics)
    assert list(found) == list(task.metrics)


def test_every_standard_task_is_checked() -> None:
    assert {type(task) for task in TASKS.values()} == set(STANDARD)
    assert len(STANDARD) == 6


@pytest.mark.parametrize("cls", STANDARD, ids=lambda cls: cls.__name__)
def test_every_option_is_on_the_page(cls: type[Task]) -> None:
    text = "".join(body for title, body in SECTIONS.items() if f"`{cls.__name__}`" in title) + "".join(SECTIONS)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.init and field.name != "name":
            assert f"`{field.name}`" in text, field.name


@pytest.mark.parametrize("setting", ["flip", "zoom", "jitter"])
def test_every_augmentation_is_on_the_page_and_in_the_settings(setting: str) -> None:
    assert f"| `training.{setting}` |" in SECTIONS["Augmentation"]
    assert setting in {field.name for field in dataclasses.fields(TrainingSettings)}
    assert f"    {setting}: " in inspect.cleandoc(TrainingSettings.__doc__ or "").replace("\n", "\n    ")


def test_names_in_the_papers_table_exist() -> None:
    known = {name for task in TASKS.values() for name in task.metrics}
    named = re.findall(r"`(\w+)`", SECTIONS["What each paper reports"])
    assert len(named) > 15
    assert set(named) <= known
