"""The pages in a real browser, opened from disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.browser
RUN = "runs/random-segmentation-matched-0.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of the machine. CI installs one and must have it; elsewhere its absence is said, not fatal."""
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not found:
        assert "CI" not in os.environ, "CI must test the pages: install chromium"
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium); CI runs these")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found[0],
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site from disk; fails the test on any console error or request that leaves the folder."""
    problems: list[str] = []
    contexts = []

    def watch(request: Any) -> None:
        if not request.url.startswith((site.as_uri(), "data:", "blob:")):
            problems.append(f"request to {request.url}")

    def go(path: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", watch)
        page.goto(f"{site.as_uri()}/{path}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


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
    page.get_by_role("combobox", name="Quality").select_option("task.depth")
    order, link = _methods(page), page.url.partition("#")[2]
    again = visit(f"index.html#{link}")
    assert _methods(again) == order
    assert again.locator('#main th[data-key="worst"]').get_attribute("aria-sort") == "ascending"
    assert again.get_by_role("combobox", name="Quality").input_value() == "task.depth"


def test_plots_are_drawn_and_can_be_chosen(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    page.locator("#figure-quality .plot.drawn .points").first.wait_for(state="attached")
    assert page.locator("#figure-speed .plot.drawn .scatterlayer .trace").count() == 4
    page.get_by_role("combobox", name="Quality").select_option("task.segmentation")
    chosen = page.locator('#figure-quality [data-view="task.segmentation"]')
    chosen.locator(".plot.drawn .points").first.wait_for(state="attached")
    assert "mIoU" in (chosen.locator(".ytitle").text_content() or "")
    assert page.locator('#figure-quality [data-view="delta"]').is_hidden()


@pytest.mark.parametrize("path", ["index.html", RUN])
def test_the_page_itself_never_scrolls_sideways(visit: Callable[..., Page], path: str) -> None:
    page = visit(path, viewport={"width": 360, "height": 800})
    for width in (360, 800, 1920, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width


def test_a_run_page_shows_curves_and_copies_its_command(visit: Callable[..., Page]) -> None:
    page = visit(RUN, permissions=["clipboard-read", "clipboard-write"])
    page.locator(".panel .plot.drawn .lines").first.wait_for(state="attached")
    assert page.locator(".panel").count() == 7
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert (
        page.evaluate("navigator.clipboard.readText()") == "msbench run -s random -d rooms --budget matched --seeds 0"
    )
    assert page.locator("img.samples").evaluate("image => image.complete && image.naturalWidth > 0")


def test_links_lead_from_the_board_to_a_run_and_back(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    page.get_by_role("link", name="one_shot_magnitude").first.click()
    assert page.locator("h1").inner_text().startswith("one_shot_magnitude")
    page.get_by_role("navigation").get_by_role("link").click()
    assert page.url.endswith("index.html")


@pytest.mark.parametrize("path", ["index.html", RUN])
def test_everything_is_readable_without_javascript(visit: Callable[..., Page], path: str) -> None:
    page = visit(path, java_script_enabled=False)
    assert page.locator("noscript").first.inner_text().startswith("The plots need JavaScript")
    assert page.locator("button:visible, select:visible").count() == 0
    summary = page.locator("summary", has_text="Numbers" if path == "index.html" else "Ends and extremes").first
    summary.click()
    assert page.locator("details[open] table.plain td").first.is_visible()


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
