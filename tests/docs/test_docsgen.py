"""What is generated reads docstrings and types as people write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Interval

from msbench.docsgen.docstrings import as_list
from msbench.docsgen.markdown import cell, described, entries, table, type_name


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "whole number"),
        (Annotated[float, Gt(0)], "number, above 0"),
        (Annotated[float, Interval(ge=0, lt=1)], "number, at least 0, below 1"),
        (Literal["a", "b", "c"], "`a`, `b` or `c`"),
        (str | None, "text or nothing"),
        (tuple[str, ...], "list of text"),
        (dict[str, list[int]], "text to list of whole number"),
        (dict[str, Any], "text to anything"),
    ],
)
def test_types_are_written_in_words(hint: object, text: str) -> None:
    assert type_name(hint) == text


DOCSTRING = """Does it.

First words. size, width: of both: in
    pixels. example [B, C]: an image.
rate: how fast
it goes. Raises UserError on bad input.

Last words: of no parameter."""


def test_entries_begin_a_line_or_a_sentence_and_the_rest_stays() -> None:
    rest, found = entries(DOCSTRING, ["size", "width", "example", "rate"])
    assert found == {
        "size": "of both: in pixels.",
        "width": "of both: in pixels.",
        "example": "[B, C] an image.",
        "rate": "how fast it goes.",
    }
    assert " ".join(rest.split()) == "Does it. First words. Raises UserError on bad input. Last words: of no parameter."


def test_without_names_a_docstring_is_as_it_was() -> None:
    assert entries(DOCSTRING, []) == (DOCSTRING, {})


class Base:
    """A base.

    size: in pixels. rate: slow.
    """


class Inner(Base):
    """A class.

    rate: fast.
    """


def test_a_base_class_describes_what_the_class_does_not() -> None:
    assert described(Inner, ["size", "rate"]) == ("A class.", {"size": "in pixels.", "rate": "fast."})


def test_entries_are_shown_as_a_list() -> None:
    assert as_list("Does it.\n\nsize: in pixels.", ["size"]) == "Does it.\n\n* `size`: in pixels."


def test_a_cell_is_one_line_without_bars() -> None:
    assert cell("|w|\n  twice") == r"\|w\| twice"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert table(["a"], []) == ""
