"""BibTeX of a board: only what the citations say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msbench.board.downloads.bibtex import board_bibtex, citation_fields
from tests.board.conftest import Factory
from tests.board.test_export_latex import rows_of


@pytest.mark.parametrize(
    ("citation", "fields"),
    [
        (
            "Lee, Ajanthan and Torr. SNIP: Single-shot network pruning. ICLR 2019",
            {
                "author": "Lee and Ajanthan and Torr",
                "title": "SNIP: Single-shot network pruning",
                "howpublished": "ICLR",
                "year": "2019",
            },
        ),
        (
            "Upadhyay, Phlypo, Saini and Liwicki. Meta-sparsity. arXiv 2501.12115, Table 6",
            {
                "author": "Upadhyay and Phlypo and Saini and Liwicki",
                "title": "Meta-sparsity",
                "eprint": "2501.12115",
                "archiveprefix": "arXiv",
                "year": "2025",
                "url": "https://arxiv.org/abs/2501.12115",
            },
        ),
        ("Doe. Is it so? Nature 9", {"author": "Doe", "title": "Is it so?", "howpublished": "Nature 9"}),
        ("A. Author, a preprint", {"note": "A. Author, a preprint"}),
        ("Smith, J. A title. Somewhere 2020", {"note": "Smith, J. A title. Somewhere 2020"}),
        ("https://example.org/a_b", {"note": "https://example.org/a_b", "url": "https://example.org/a_b"}),
    ],
)
def test_a_citation_gives_the_fields_that_it_says(citation: str, fields: dict[str, str]) -> None:
    assert citation_fields(citation) == fields


def test_a_paper_of_several_methods_is_one_entry_that_names_them(factory: Factory) -> None:
    records = [factory.record("dense"), factory.record("snip"), factory.record("snip_b"), factory.record("two")]
    records[0].sparsifier.paper = ""
    records[1].sparsifier.paper = records[2].sparsifier.paper = "Lee and Torr. SNIP. ICLR 2019"
    records[3].sparsifier.paper = "Lee and Torr. SNIP. ICLR 2019; Lee. A second one & more. ICML 2019"
    text = board_bibtex(rows_of(records))
    assert re.findall(r"^@(\w+)\{([^,]+),", text, re.M) == [
        ("misc", "lee2019"),
        ("misc", "lee2019b"),
        ("software", "msbench"),
    ]
    assert "title = {{A second one \\& more}}" in text
    comment = text.splitlines()[0]
    assert comment.startswith("% ")
    assert set(comment[2:].split(", ")) == {"snip", "snip_b", "two"}


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_citation_or_name_breaks_the_file(citation: str, name: str) -> None:
    records = [Factory().record("snip")]
    records[0].sparsifier.paper, records[0].sparsifier.name = citation, name
    text = "\n".join(line for line in board_bibtex(rows_of(records)).splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert len(re.findall(r"^@", text, re.M)) == len(re.findall(r"^\}$", text, re.M))
