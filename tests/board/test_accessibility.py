"""axe-core's rules on the board page, and what it cannot see: the keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_axe_finds_nothing_serious(visit: Callable[..., Page], scheme: str, width: int) -> None:
    page = visit("index.html", color_scheme=scheme, viewport={"width": width, "height": 844})
    page.locator("#columns summary").click()
    assert serious_faults(page) == {}
    page.get_by_role("link", name="All of them").click()
    assert serious_faults(page) == {}


def serious_faults(page: Page) -> dict[str, list[str]]:
    """Rules that a page breaks seriously, each with the first elements that do."""
    return {
        rule["id"]: [node["html"][:160] for node in rule["nodes"][:3]]
        for rule in Axe().run(page)["violations"]
        if rule["impact"] in ("serious", "critical")
    }


def test_the_keyboard_reaches_every_control_and_the_focus_is_seen(visit: Callable[..., Page]) -> None:
    page = visit("index.html")
    page.locator("#theme").focus()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => {
              const now = document.activeElement, style = getComputedStyle(now);
              const name = now.id || now.name || now.type || now.className || now.tagName;
              return [name, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
            }"""
        )
        reached.append(place)
        if now_in_table(page):
            break
    names = [name for name, _ in reached]
    assert {"search", "status", "save-csv", "save-json"} <= set(names)
    assert [name for name, seen in reached if not seen] == []


def now_in_table(page: Page) -> bool:
    return bool(page.evaluate("document.activeElement.closest('#main tr.row') !== null"))
