"""Plots in a real browser, opened from disk."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
RUN = "runs/random-segmentation-matched-0.html"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on any error in its console."""
    problems: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.close()
    assert problems == []


def draw_all(page: Page) -> int:
    """Scroll to every figure until it is drawn; how many there are."""
    figures = page.locator(".figure").all()
    for figure in figures:
        figure.scroll_into_view_if_needed()
        figure.locator(".view:not([hidden]) .plot.drawn .main-svg").first.wait_for()
    return len(figures)


@pytest.mark.parametrize(("path", "count"), [("index.html", 6), (RUN, 5)])
def test_every_figure_and_view_is_drawn(page: Page, site: Path, path: str, count: int) -> None:
    page.goto(f"{site.as_uri()}/{path}")
    assert draw_all(page) == count
    for select in page.locator("select[data-figure]").all():
        select.scroll_into_view_if_needed()
        select.select_option(index=1)
    page.wait_for_function("document.querySelectorAll('.view:not([hidden]) .plot:not(.drawn)').length === 0")


def test_plotly_is_read_only_by_pages_with_plots_and_plots_wait_until_seen(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto(f"{site.as_uri()}/index.html")
    page.wait_for_function("typeof Plotly !== 'undefined'")
    assert page.locator("#figure-budget .plot.drawn").count() == 0
    assert page.locator("#figure-budget .plot").first.bounding_box()["height"] > 100  # type: ignore[index]


def test_a_legend_button_takes_a_method_away_and_brings_it_back(page: Page, site: Path) -> None:
    page.goto(f"{site.as_uri()}/index.html")
    figure = page.locator("#figure-quality")
    figure.scroll_into_view_if_needed()
    key = figure.get_by_role("button", name="random")
    key.wait_for()
    drawn = figure.locator(".view:not([hidden]) .scatterlayer .trace")
    before = drawn.count()
    key.press("Enter")
    assert key.get_attribute("aria-pressed") == "false"
    assert drawn.count() == before - 2  # its mean and its seeds
    key.click()
    assert drawn.count() == before


def test_colours_follow_the_button_of_the_theme(page: Page, site: Path) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.as_uri()}/index.html")
    page.locator("#figure-quality").scroll_into_view_if_needed()
    point = page.locator("#figure-quality .view:not([hidden]) .scatterlayer .points path").first
    point.wait_for()
    before = point.evaluate("node => getComputedStyle(node).fill")
    page.locator("#theme").click()
    page.wait_for_function(
        "fill => getComputedStyle(document.querySelector("
        "'#figure-quality .view:not([hidden]) .scatterlayer .points path')).fill !== fill",
        arg=before,
    )


def test_a_figure_is_saved_as_svg_and_its_numbers_as_csv(page: Page, site: Path, tmp_path: Path) -> None:
    page.goto(f"{site.as_uri()}/index.html")
    figure = page.locator("#figure-front")
    figure.scroll_into_view_if_needed()
    with page.expect_download() as svg:
        figure.get_by_role("button", name="SVG").first.click()
    svg.value.save_as(tmp_path / "figure.svg")
    assert svg.value.suggested_filename == "front-worst.cpu.svg"
    picture = ET.parse(tmp_path / "figure.svg").getroot()
    words = "".join(picture.itertext())
    assert picture.tag.endswith("svg")
    assert "Measured speed-up on CPU" in words
    assert "one_shot_magnitude" in words
    with page.expect_download() as csv:
        figure.get_by_role("button", name="CSV").first.click()
    csv.value.save_as(tmp_path / "figure.csv")
    head, dense, *rows = (tmp_path / "figure.csv").read_text().splitlines()
    assert head.startswith("Method,Budget,")
    assert dense == "dense,,1.00,,,0.00,yes"
    assert len(rows) == 3
    assert all(float(row.split(",")[-2]) < 0 for row in rows)


@pytest.mark.parametrize("scripts", [True, False])
def test_numbers_open_below_a_plot_with_scripts_and_without(
    open_page: Callable[..., Page], site: Path, scripts: bool
) -> None:
    page = open_page(site, "index.html", java_script_enabled=scripts)
    numbers = page.locator(".view details").first
    assert numbers.locator("table").count() == (0 if scripts else 1)
    numbers.locator("summary").click()
    first = numbers.locator("tbody tr").first
    first.wait_for()
    assert first.inner_text().startswith("meta_sparsity")
    assert numbers.locator("tbody tr").count() == 4


def test_every_plot_is_on_paper(page: Page, site: Path) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.as_uri()}/index.html")
    page.wait_for_function("typeof Plotly !== 'undefined'")
    page.emulate_media(color_scheme="dark", media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".view:not([hidden]) .plot:not(.drawn)").count() == 0
    assert page.locator("#figure-quality .key:visible").count() == 5  # dense and the four with a result
    text = page.locator("#figure-budget .xtick text").first
    assert text.evaluate("node => getComputedStyle(node).fill") == "rgb(0, 0, 0)"


def test_the_palette_stands_out_from_the_paper_of_both_themes(page: Page, site: Path) -> None:
    """WCAG: graphics need 3 to 1."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"{site.as_uri()}/index.html")
        ratios = page.evaluate(
            """() => {
              const probe = document.body.appendChild(document.createElement("i"));
              const light = (name) => {
                probe.style.color = `var(--${name})`;
                const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map((v) => v / 255)
                  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const paper = light("paper");
              return [...Array(8).keys()].map((i) => light("plot-" + i))
                .map((c) => (Math.max(c, paper) + 0.05) / (Math.min(c, paper) + 0.05));
            }"""
        )
        assert len(ratios) == 8
        assert min(ratios) >= 3, (scheme, ratios)
