"""The page on the code's layout names what is there, and all of it."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, ROOT

TEXT = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")


def test_every_package_is_on_the_page() -> None:
    packages = {path.parent.name for path in (ROOT / "msbench").glob("*/__init__.py")}
    assert packages == set(re.findall(r"`msbench\.(\w+)`", TEXT)) - {"api"}


def test_every_part_of_the_large_packages_is_on_the_page() -> None:
    for package in ("runs", "board"):
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `msbench.{package}`"))
        parts = {path.parent.name for path in (ROOT / "msbench" / package).glob("*/__init__.py")}
        assert parts <= set(re.findall(r"`(\w+)`", row))


def test_the_modules_that_it_names_are_there() -> None:
    named = re.findall(r"`(?:msbench/)?(\w+/[\w/]+\.py)`", TEXT)
    assert len(named) > 15
    for module in named:
        assert (ROOT / "msbench" / module).is_file() or (ROOT / module).is_file(), module
