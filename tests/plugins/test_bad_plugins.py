"""Every rule has a plugin that breaks it, and that rule finds it; no other rule does."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench.conformance import RULES, Case, cases_of
from msbench.plugins import load_plugins

FOLDER = Path(__file__).parent / "bad"
PLUGINS = sorted(path.stem for path in FOLDER.glob("*.py"))


def kind_and_rule(stem: str) -> tuple[str, str]:
    kind, _, rule = stem.partition("_")
    return kind.replace("balancer", "loss balancer"), rule


def cases(stem: str) -> list[Case]:
    source = str(FOLDER / f"{stem}.py")
    plugins = load_plugins([source])
    return list(cases_of(plugins, plugins.get(kind_and_rule(stem)[0], "bad"), {}, (source,)))


def test_every_rule_has_its_bad_plugin() -> None:
    """Rules that several kinds share need one."""
    known = {(kind, rule.__name__): rule for kind, rules in RULES.items() for rule in rules}
    shown = {kind_and_rule(stem) for stem in PLUGINS}
    assert shown <= known.keys()
    assert set(known.values()) == {known[pair] for pair in shown}


def test_every_rule_says_what_it_asks_for() -> None:
    for rules in RULES.values():
        for rule in rules:
            assert Case(None, rule).promise.endswith("."), rule


@pytest.mark.parametrize("stem", PLUGINS)
def test_its_rule_catches_it(stem: str) -> None:
    found = next(case for case in cases(stem) if case.name == kind_and_rule(stem)[1]).finding()
    assert found.outcome == "failed"
    assert "\n" not in found.detail


@pytest.mark.long
@pytest.mark.parametrize("stem", PLUGINS)
def test_no_other_rule_does(stem: str) -> None:
    failed = [found.rule for case in cases(stem) if (found := case.finding()).outcome == "failed"]
    assert failed == [kind_and_rule(stem)[1]]
