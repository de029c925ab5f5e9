"""What the board page shows can be chosen, and the address keeps the choice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from msbench.board.site.build import build
from tests.board.conftest import Factory

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def varied(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board with two budgets, both families, two plugin packages, a failed and an inexact row."""
    records = factory.scene(1)
    for index, name in enumerate(("snip", "snip_random", "set")):
        record = factory.record(name, mode="share", share=0.9, structured=name == "set", quality=80 - index)
        record.sparsifier.plugin = "elsewhere:methods" if name == "set" else "msbench:sparsifiers"
        record.command = f"msbench run -s {name} --budget 0.9 --seed 0"
        records.append(record)
    folder = tmp_path_factory.mktemp("varied")
    return build(factory.save(records, folder / "runs"), folder / "leaderboard").parent


@pytest.fixture
def visit(open_page: Visit, varied: Path) -> Visit:
    return partial(open_page, varied)


def _shown(page: Page) -> list[str]:
    return page.locator("#main tr.row:not([hidden]) .name").all_inner_texts()


def _facet(page: Page, name: str) -> Locator:
    return page.locator(f'#filters select[name="{name}"]')


def _columns(page: Page) -> list[str]:
    return page.locator("#main .heads th").evaluate_all(
        "heads => heads.filter(head => head.offsetParent !== null).map(head => head.dataset.key)"
    )


def test_filters_show_what_fits_beside_the_dense_control(visit: Visit) -> None:
    page = visit("index.html")
    assert page.locator("#shown").inner_text() == "8 of 8 rows"
    for facet, value, expected in (
        ("budget", "0.9", ["dense", "set", "snip", "snip_random"]),
        ("family", "unstructured", ["dense", "snip", "snip_random"]),
        ("plugin", "elsewhere", ["dense", "set"]),
        ("status", "failed", ["dense", "adapmtl"]),
    ):
        _facet(page, facet).select_option(value)
        assert sorted(_shown(page)) == sorted(expected), facet
        page.get_by_role("button", name="Clear").click()
    page.get_by_role("searchbox").fill("SNIP rand")
    assert _shown(page) == ["dense", "snip_random"]
    assert page.locator("#shown").inner_text() == "1 of 8 rows"
    assert page.locator("tr.section:visible").count() == 1
    page.get_by_role("searchbox").fill("nothing like it")
    assert page.locator("#nothing").is_visible()


def test_a_view_can_be_linked(visit: Visit) -> None:
    page = visit("index.html")
    _facet(page, "family").select_option("unstructured")
    page.get_by_role("searchbox").fill("snip")
    page.locator('#main th[data-key="macs"] button').click()
    page.locator("#columns summary").click()
    page.get_by_role("checkbox", name="Groups").check()
    page.get_by_role("checkbox", name="Status").uncheck()
    rows, columns, link = _shown(page), _columns(page), page.url.partition("#")[2]
    assert "groups" in columns
    assert "status" not in columns
    again = visit(f"index.html#{link}")
    assert (_shown(again), _columns(again)) == (rows, columns)
    assert again.get_by_role("searchbox").input_value() == "snip"
    assert again.locator('#main th[data-key="macs"]').get_attribute("aria-sort") == "descending"


def test_back_and_forward_change_the_view(visit: Visit) -> None:
    page = visit("index.html")
    everything, usual = _shown(page), _columns(page)
    _facet(page, "plugin").select_option("elsewhere")
    page.locator("#columns summary").click()
    page.locator("#columns-all").click()
    assert len(_columns(page)) > len(usual)
    page.go_back()
    assert _columns(page) == usual
    page.go_back()
    assert _shown(page) == everything
    assert _facet(page, "plugin").input_value() == ""
    page.go_forward()
    assert _shown(page) == ["dense", "set"]


@pytest.mark.parametrize(
    "link",
    ["budget=0.123&sort-main=nothing:ascending", "sort-main=delta:sideways&columns=,,x", "%E0%A4%A=&=&&q=", "row-gone"],
)
def test_an_address_that_means_nothing_is_the_usual_view(visit: Visit, link: str) -> None:
    usual = visit("index.html")
    page = visit(f"index.html#{link}")
    assert (_shown(page), _columns(page)) == (_shown(usual), _columns(usual))


def test_the_first_layout_has_the_usual_columns_already(visit: Visit) -> None:
    page = visit("index.html")
    usual = _columns(page)
    page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.reload()
    assert page.locator("#filters").is_hidden()  # no script has run
    assert _columns(page) == usual


def test_columns_come_and_go_with_their_heads(visit: Visit) -> None:
    page = visit("index.html")
    usual = _columns(page)
    page.locator("#columns summary").click()
    page.locator("#columns-all").click()
    every = page.locator("#main .heads th").count()
    assert len(_columns(page)) == every
    assert page.url.endswith("columns=all")
    page.locator("#columns-default").click()
    assert _columns(page) == usual
    assert "#" not in page.url
    cells = page.locator("#main tr.row").first.locator("> :visible").count()
    assert cells == len(usual)
    spans = page.locator("#main .groups > :visible").evaluate_all("cells => cells.reduce((n, c) => n + c.colSpan, 0)")
    assert spans == len(usual)


def test_a_row_has_a_link_and_the_command_that_repeats_it(visit: Visit) -> None:
    page = visit("index.html#q=snip", permissions=["clipboard-read", "clipboard-write"])
    row = page.locator("#main tr.row", has=page.get_by_role("link", name="snip", exact=True))
    row.get_by_role("button", name="Copy the command of snip,").click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == "msbench run -s snip --budget 0.9 --seed 0"
    row.get_by_role("link", name="Link to the row snip,").click()
    address = page.evaluate("navigator.clipboard.readText()")
    assert address.endswith("#" + (row.get_attribute("id") or "?"))
    assert _shown(page) == ["dense", "snip", "snip_random"], "a link inside the page leaves the view alone"
    opened = visit("index.html#" + address.partition("#")[2])
    assert opened.locator("tr.row:target .name").inner_text() == "snip"


def test_where_the_clipboard_is_refused_the_command_is_offered_selected(visit: Visit) -> None:
    page = visit("index.html")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    page.get_by_role("button", name="Copy the command of set,").click()
    box = page.get_by_label("Copy this")
    box.wait_for()
    assert page.evaluate("getSelection().toString()") == box.input_value() == "msbench run -s set --budget 0.9 --seed 0"


def test_the_theme_is_chosen_and_remembered(visit: Visit) -> None:
    page = visit("index.html", color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark").click()
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    page.emulate_media(media="print")
    assert page.evaluate(paper) != dark, "paper is white"


def test_print_has_every_row_and_the_usual_columns(visit: Visit) -> None:
    page = visit("index.html#q=snip&columns=rank")
    page.emulate_media(media="print")
    assert page.locator("#main tr.row:visible").count() == 9
    assert "delta" in _columns(page)
    assert "groups" not in _columns(page)
    assert page.locator("button:visible").count() == page.locator(".heads button:visible").count()
