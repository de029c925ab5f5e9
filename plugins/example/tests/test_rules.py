"""The rules that msbench has for every plugin."""

from __future__ import annotations

import pytest
from msbench_example.discs import Discs
from msbench_example.finest import Finest
from msbench_example.synflow import SynFlow

from msbench.conformance import Case, cases

ALL = [case for cls in (SynFlow, Discs, Finest) for case in cases(cls)]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_it_keeps_the_rules(case: Case) -> None:
    case.run()


def test_synflow_by_groups_keeps_them_too() -> None:
    for case in cases(SynFlow, structured=True, rounds=5):
        if case.name in ("budget", "mask", "compacts"):
            case.run()
