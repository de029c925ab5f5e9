"""What is asked for becomes experiments, the same way from the command line and from Python."""

from __future__ import annotations

from typing import Any

import pytest

from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.request import Request, make_request


def request(plugins: Plugins, *sparsifiers: str, **given: Any) -> Request:
    nothing: dict[str, Any] = dict.fromkeys(("budget", "dataset", "model", "preset", "meta_test"))
    return make_request(plugins, sparsifiers, **(nothing | {"seeds": [0], "sources": [], "overrides": []} | given))


def test_a_paper_names_its_own_runs(plugins: Plugins) -> None:
    asked = request(plugins, preset="papers/meta_sparsity_t5", seeds=[0, 1])
    assert asked.table is not None
    wanted = {row.sparsifier for row in asked.table.rows}
    planned = {choice.name for experiment in asked.experiments for choice in experiment.sparsifiers}
    assert wanted == planned
    assert all(experiment.seeds == (0, 1) for experiment in asked.experiments)


def test_without_a_budget_the_configuration_decides(plugins: Plugins) -> None:
    (asked,) = request(plugins, "random").experiments
    assert asked.budget.mode == "matched"
    (asked,) = request(plugins, "random", budget="0.25").experiments
    assert (asked.budget.mode, asked.budget.share) == ("share", 0.25)


@pytest.mark.parametrize(
    ("sparsifiers", "given", "message"),
    [
        ((), {}, "-s is missing"),
        (("random",), {"preset": "papers/meta_sparsity_t5"}, "leave -s out"),
        ((), {"preset": "papers/meta_sparsity_t5", "meta_test": "same"}, "leave --meta-test out"),
        (("random",), {"preset": "meta_sparsity_t5"}, "did you mean 'papers/meta_sparsity_t5'"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    plugins: Plugins, sparsifiers: tuple[str, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        request(plugins, *sparsifiers, **given)
