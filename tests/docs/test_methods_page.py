"""README and the page of methods name every method, criterion and dataset, and what they select exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from msbench.config import BudgetConfig
from msbench.plugins import Plugins
from msbench.selection import every, select

ROOT = Path(__file__).parent.parent.parent


def test_every_method_and_dataset_is_documented(plugins: Plugins) -> None:
    readme, methods = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/reference/methods.md"))
    for name in every(plugins, BudgetConfig(mode="matched")):
        assert f"`{name}`" in readme, name
        assert f"`{name}`" in methods, name
    for name in plugins.classes("criterion"):
        assert f"`{name}`" in methods or f"`{name}:RUN`" in methods, name
    for name in plugins.classes("dataset"):
        assert f"`{name}`" in readme, name


SELECTIONS = sorted(
    set(re.findall(r"`(\w+\[criterion=[^`]+\])`", (ROOT / "docs" / "reference" / "methods.md").read_text("utf-8")))
)


def test_methods_has_selections() -> None:
    assert len(SELECTIONS) > 8


@pytest.mark.parametrize("selection", SELECTIONS)
def test_selections_of_the_methods_page_are_understood(plugins: Plugins, selection: str) -> None:
    found = select(plugins, [selection], {}, BudgetConfig(mode="share", share=0.5))
    assert [config.name for config in found] == [selection]
