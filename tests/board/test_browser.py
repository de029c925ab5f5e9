"""The pages in a real browser, opened from disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
RUN = "runs/random-segmentation-matched-0.html"


def _methods(page: Page) -> list[str]:
    return page.locator("#main tr.row .name").all_inner_texts()


def _click(page: Page, key: str) -> str | None:
    header = page.locator(f'#main th[data-key="{key}"]')
    header.get_by_role("button").click()
    return header.get_attribute("aria-sort")


def test_sorting_turns_the_order_within_sections_and_keeps_failures_last(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    assert _click(page, "delta") == "descending"
    best_first = _methods(page)
    assert best_first == ["dense", "meta_sparsity", "one_shot_magnitude", "group_lasso", "random", "adapmtl"]
    assert _click(page, "delta") == "ascending"
    assert _methods(page) == ["dense", *best_first[1:5][::-1], "adapmtl"]


def test_a_first_click_puts_the_best_on_top_and_rows_without_a_value_stay_last(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    assert _click(page, "task.depth") == "ascending"
    assert _methods(page)[-2] == "random"
    for _ in range(2):
        _click(page, "theoretical")
        assert _methods(page)[4] == "group_lasso"


def test_the_keyboard_sorts_and_the_link_keeps_the_view(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    page.locator('#main th[data-key="worst"] button').focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    order, link = _methods(page), page.url.partition("#")[2]
    again = visit(f"index.html#{link}")
    assert _methods(again) == order
    assert again.locator('#main th[data-key="worst"]').get_attribute("aria-sort") == "ascending"


def test_back_and_forward_change_the_order(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    first = _methods(page)
    _click(page, "method")
    second = _methods(page)
    assert second != first
    page.go_back()
    assert _methods(page) == first
    assert page.locator("#main th[aria-sort=ascending]").count() == 0
    page.go_forward()
    assert _methods(page) == second


@pytest.mark.parametrize("path", ["index.html", RUN])
def test_the_page_itself_never_scrolls_sideways(visit: Callable[..., Page], path: str) -> None:
    page = visit(path, viewport={"width": 360, "height": 800})
    for width in (360, 800, 1920, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width


def test_a_run_page_copies_its_command(visit: Callable[..., Page]) -> None:
    page = visit(RUN, permissions=["clipboard-read", "clipboard-write"])
    page.locator(".command").get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert (
        page.evaluate("navigator.clipboard.readText()") == "msbench run -s random -d rooms --budget matched --seeds 0"
    )
    assert page.locator("img.samples").evaluate("image => image.complete && image.naturalWidth > 0")


def test_links_lead_from_the_board_to_a_run_and_back(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    row = page.locator("#main tr.row", has=page.get_by_role("link", name="one_shot_magnitude", exact=True))
    row.get_by_role("link", name="1", exact=True).click()
    assert page.locator("h1").inner_text().startswith("one_shot_magnitude")
    page.get_by_role("navigation", name="Path").get_by_role("link").first.click()
    assert page.url.endswith("index.html")
    row.locator(".name").click()
    assert page.url.endswith("methods/one_shot_magnitude.html")


def test_everything_is_readable_without_javascript(visit: Callable[..., Page]) -> None:
    """No dead controls, every column and row of the table there, and figures as tables."""
    for path in ("index.html", RUN):
        page = visit(path, java_script_enabled=False)
        assert page.locator("button:visible, select:visible, input:visible").count() == 0, path
    page = visit("index.html", java_script_enabled=False)
    assert page.locator("#main .heads th:visible").count() == page.locator("#main .heads th").count() > 15
    assert page.locator("#main tr.row:visible").count() == 6
    page.get_by_role("link", name="All of them").click()
    assert page.url.endswith("-metrics.html")
    assert page.locator("table.board").count() > 1
    assert page.locator("table.board tbody tr:visible").count() == 5 * page.locator("table.board").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit: Callable[..., Page], scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for everything that is read, on the page's own paper."""
    page = visit("index.html", color_scheme=scheme, java_script_enabled=False)
    ratios = page.evaluate(
        """() => {
          const style = getComputedStyle(document.documentElement);
          const light = (name) => {
            const hex = style.getPropertyValue("--" + name).trim().slice(1);
            const parts = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
            const [r, g, b] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          const texts = ["ink", "soft", "faint", "link", "good", "bad", "warn"];
          const papers = ["paper", "raised", "best"];
          return texts.flatMap((t) => papers.map((p) => [t + " on " + p, ratio(light(t), light(p))]));
        }"""
    )
    assert {name: ratio for name, ratio in ratios if ratio < 4.5} == {}
