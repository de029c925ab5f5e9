from __future__ import annotations

import pytest

from msbench.board import text


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (text.number(-3.14159, 2), "−3.14"),
        (text.number(-0.001, 2), "0.00"),
        (text.signed(2.0), "+2.0"),
        (text.signed(-2.0), "−2.0"),
        (text.signed(0.01), "0.0"),
        (text.percent(0.4401), "44.0\u202f%"),
        (text.level(0.3), "30\u202f%"),
        (text.level(0.4874), "48.7\u202f%"),
        (text.points(-0.031), "−3.1\u202fpt"),
        (text.times(1.784), "1.78×"),
        (text.count(20000), "20\u202f000"),
        (text.amount(11_200_000), "11.2\u202fM"),
        (text.size(3 * 2**20), "3\u202fMiB"),
        (text.duration(90), "90\u202fs"),
        (text.duration(600), "10\u202fmin"),
        (text.duration(9000), "2.5\u202fh"),
        (text.scientific(3.1e-7), "3.1·10⁻⁷"),
        (text.scientific(0.0), "0"),
        (text.seeds([2, 0, 1]), "0–2"),
        (text.seeds([0, 7]), "0, 7"),
        (text.words(["a", "b", "c"]), "a, b and c"),
        (text.words(["a"]), "a"),
        (text.moment("2025-11-22T10:00:59+00:00"), "2025-11-22 10:00 UTC"),
        (text.moment("yesterday"), "yesterday"),
    ],
)
def test_quantities_are_written_for_people(got: str, want: str) -> None:
    assert got == want


@pytest.mark.parametrize(
    ("citation", "link"),
    [
        ("Author, 2024, https://example.org/a.pdf.", "https://example.org/a.pdf"),
        ("Author, arXiv:2501.12115", "https://arxiv.org/abs/2501.12115"),
        ("Author, arXiv 2501.12115", "https://arxiv.org/abs/2501.12115"),
        ("Author, doi:10.1000/xyz-1.", "https://doi.org/10.1000/xyz-1"),
        ("Author, 1989", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_a_paper_is_linked_only_by_a_web_address(citation: str, link: str) -> None:
    assert text.paper_link(citation) == link


def test_a_column_has_about_four_digits() -> None:
    assert [text.decimals_for([value]) for value in (0.3, 3.0, 45.0, 450.0)] == [4, 3, 2, 1]
