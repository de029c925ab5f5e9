"""`msbench plugins check`: what it prints, how it ends, and what it is run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.conformance import RULES, Finding, cases, cases_of, findings
from msbench.data.dataset import PARTS
from msbench.errors import UserError
from msbench.plugins import Plugins, load_plugins
from tests.plugins.good import GoodBackbone, GoodCriterion, GoodDataset, GoodHead

BAD = Path(__file__).parent / "bad"
CHEAP = ("snip", "magnitude", "light", "uncertainty")
EMBEDDED = {"rooms": {"size": "xs"}, "rooms5": {"size": "xs"}, "faces": {"size": "xs"}}


def check(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["plugins", "check", *words])
    return done.exit_code, f"{done.output}{done.exception or ''}"


def failed(found: list[Finding]) -> list[str]:
    return [f"{finding.subject} {finding.rule}: {finding.detail}" for finding in found if finding.outcome == "failed"]


def test_one_line_a_rule_and_exit_code_0() -> None:
    code, text = check("uncertainty")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].startswith("loss balancer uncertainty (msbench:loss_balancers")
    assert [line.split()[0] for line in lines[1:-1]] == [rule.__name__ for rule in RULES["loss balancer"]]
    assert all(" ok: " in line for line in lines[1:-1])
    assert lines[-1].startswith("3 of 3 ok, 0 failed, 0 skipped in ")


def test_a_broken_rule_is_exit_code_1_and_says_why() -> None:
    code, text = check(str(BAD / "criterion_scores.py"), "-k", "scores")
    assert code == 1
    assert "scores          FAILED: the scores of backbone.stem.0 have shape (16,), expected (3,)" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["uncertanty"], "unknown plugin class 'uncertanty': did you mean 'uncertainty'?"),
        (["uncertainty", "-k", "skalar"], "-k 'skalar': no such rule: did you mean 'scalar'?"),
        (["light[widht=3]", "-k", "shapes"], "unknown key 'light.widht' for 'light': did you mean 'width'?"),
        (["./nowhere"], "nowhere: no pyproject.toml there"),
        (["nowhere.py"], "nowhere.py: no such file"),
    ],
)
def test_bad_input_is_a_user_error(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["plugins", "check", *words])
    assert message in (done.output + str(done.exception))
    assert done.exit_code != 0
    assert "FAILED" in done.output or isinstance(done.exception, UserError)


def test_parameters_in_brackets_are_used() -> None:
    code, text = check("light[width=3]", "-k", "parameters")
    assert code == 0
    assert "width=3" in text


def test_a_classs_own_name_stands_for_all_of_its_variants(plugins: Plugins) -> None:
    one_shot, random = plugins.get("sparsifier", "one_shot"), plugins.get("sparsifier", "random")
    assert {str(case.subject) for case in cases_of(plugins, one_shot, {}, ())} == {"one_shot_magnitude", "random"}
    assert {str(case.subject) for case in cases_of(plugins, random, {}, ())} == {"random"}


@pytest.mark.parametrize("cls", [GoodBackbone, GoodHead, GoodCriterion])
def test_a_plugins_own_tests_can_call_it(cls: type) -> None:
    found = list(findings(cases(cls)))
    assert not failed(found)
    assert len({finding.rule for finding in found}) == len(found) > 7


def test_a_good_dataset_keeps_every_rule() -> None:
    assert not failed(list(findings(cases(GoodDataset))))
    assert len(PARTS) == 3


@pytest.mark.parametrize("name", CHEAP)
def test_cheap_built_ins_keep_every_rule(name: str, plugins: Plugins) -> None:
    for kind in plugins.components.values():
        if name in kind:
            assert not failed(list(findings(cases_of(plugins, kind[name], {}, ()))))


def everything() -> list[tuple[str, str]]:
    """Every built-in class under its own name, except for data that are not here."""
    loaded = load_plugins()
    found = []
    for kind, components in loaded.components.items():
        names = dict.fromkeys(component.cls.name for component in components.values())  # type: ignore[attr-defined]
        found += [(kind, name) for name in names if kind != "dataset" or name in EMBEDDED]
    return found


@pytest.mark.long
@pytest.mark.parametrize(("kind", "name"), everything())
def test_every_built_in_keeps_every_rule(kind: str, name: str, plugins: Plugins) -> None:
    found = cases_of(plugins, plugins.get(kind, name), EMBEDDED.get(name, {}), ())
    assert not failed(list(findings(found)))


def test_findings_come_one_by_one(plugins: Plugins) -> None:
    lazy = findings(cases_of(plugins, plugins.get("loss balancer", "equal"), {}, ()))
    assert next(lazy).rule == "documented"
