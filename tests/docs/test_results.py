"""Figures of the pages are those of the public board's records."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT
from tests.docs.results import number, tables


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/results.md", "docs/explanation/learning-lambda.md"])
def test_tables_are_those_of_the_public_records(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for table in tables()[page]:
        assert table in text, "run `python -m tests.docs.results` and put its tables there"


@pytest.mark.parametrize(
    ("values", "shown"), [([-1.26], "−1.3"), ([-1.0, -2.0], "−1.0"), ([1.0, 2.0, 3.0], "2.0 ± 1.0"), ([], "")]
)
def test_spread_needs_three_seeds(values: list[float], shown: str) -> None:
    assert number(values, 1) == shown
