"""Pages beside the boards in a real browser, opened from disk: accessible, without scripts, and on a small screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from msbench.board.site.build import build
from msbench.leaderboard import make_library
from msbench.plugins import Plugins
from tests.board.conftest import Factory
from tests.board.test_library import sheets

pytestmark = [pytest.mark.browser, pytest.mark.long]
PAGES = (
    "methods", "methods/meta_sparsity", "methods/rigl", "datasets", "datasets/rooms", "datasets/nyuv2", "plugins",
    "plugins/msbench", "papers", "papers/meta_sparsity_t5", "reading", "metrics", "changelog",
    "runs/random-segmentation-matched-0",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(factory: Factory, plugins: Plugins, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene with everything that is installed."""
    root = tmp_path_factory.mktemp("library-browser")
    runs = factory.save(factory.scene(), root / "runs", extras=True)
    sheets(root)
    (root / "CHANGES.md").write_text("# 2025\n\n* new rows\n")
    return build(runs, root / "leaderboard", make_library(plugins, root)).parent


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site; any request that leaves the folder, or error of a script, fails the test."""
    problems: list[str] = []
    contexts = []

    def go(name: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((folder.as_uri(), "data:", "blob:")) else problems.append(request.url)
            ),
        )
        page.goto(f"{folder.as_uri()}/{name}.html")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Callable[..., Page], name: str, scheme: str) -> None:
    page = visit(name, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    found = Axe().run(page)["violations"]
    serious = {v["id"]: v["nodes"][0]["html"] for v in found if v["impact"] in ("serious", "critical")}
    assert serious == {}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_runs_out_of_a_small_screen(visit: Callable[..., Page], name: str) -> None:
    page = visit(name, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_navigation_works_without_scripts_and_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit("methods", java_script_enabled=False)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    site = page.get_by_role("navigation", name="Site")
    for name in ("Datasets", "Papers", "Plugins", "How to read", "Metrics", "Changelog", "Boards"):
        site.get_by_role("link", name=name, exact=True).click()
        assert site.locator("[aria-current]").inner_text() == name


def test_formulas_and_the_contact_sheet_are_drawn(visit: Callable[..., Page]) -> None:
    page = visit("metrics")
    box = page.locator("math mfrac").first.bounding_box()
    assert box
    assert box["height"] > 1.5 * (page.locator("math mn").first.bounding_box() or box)["height"]
    image = visit("datasets/rooms").locator("img.samples")
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
