"""The page of rules says what the rules say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from msbench.conformance import RULES, Case, Rule

PAGE = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "check-your-plugin.md").read_text(encoding="utf-8")
ROWS = dict.fromkeys(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE))
UNIQUE = {rule for kind, rules in RULES.items() for rule in rules if kind != "loss balancer"}


def told(text: str) -> str:
    return re.sub(r"^(it|its|a backbone's|a head) ", "", text.lower().replace("`", "").rstrip(".")).split(". ")[0]


@pytest.mark.parametrize("rule", sorted(UNIQUE, key=lambda rule: f"{rule.__module__}.{rule.__name__}"))
def test_every_rule_is_on_the_page_in_its_own_words(rule: Rule) -> None:
    rows = [told(text) for name, text in ROWS if name == rule.__name__]
    assert told(Case(None, rule).promise) in rows


def test_no_row_is_of_a_rule_that_is_gone() -> None:
    assert {name for name, _ in ROWS} == {rule.__name__ for rule in UNIQUE}


def test_the_rules_of_loss_balancers_are_named() -> None:
    for rule in RULES["loss balancer"]:
        assert f"`{rule.__name__}` (" in PAGE
