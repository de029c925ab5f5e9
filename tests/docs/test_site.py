"""The site builds without a warning, every link and anchor leads somewhere, and nothing comes from the network."""

from __future__ import annotations

import html
import logging
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from markdown.extensions.toc import slugify
from mkdocs.commands.build import build
from mkdocs.config import load_config

from msbench.docsgen.python import names
from tests.docs.pages import DOCS, PAGES, ROOT, name

CONFIG = DOCS / "site" / "mkdocs.yml"


class Page(HTMLParser):
    """The ids of a page, its links, and what a browser fetches with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        for key in ("src", "href"):
            if key in given and tag in ("script", "link", "img", "iframe"):
                self.fetched.append(given[key])


class Warnings(logging.Handler):
    """Keeps what is logged from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning fails every test of this file."""
    folder = tmp_path_factory.mktemp("site")
    log, heard = logging.getLogger("mkdocs"), Warnings()
    log.addHandler(heard)
    try:
        build(load_config(str(CONFIG), site_dir=str(folder)))
    finally:
        log.removeHandler(heard)
    assert heard.said == []  # what --strict asks for, but with the words
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_built_and_in_the_navigation(site: Path, pages: dict[Path, Page]) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in pages}
    assert built == {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    nav = (CONFIG).read_text(encoding="utf-8").partition("\nnav:")[2]
    assert set(re.findall(r"[\w/-]+\.md", nav)) == built


def test_every_link_leads_to_a_page_and_an_anchor(site: Path, pages: dict[Path, Page]) -> None:
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("http:", "https:", "javascript:")):
                continue
            address, anchor = urldefrag(unquote(link))
            target = Path(os.path.normpath(path.parent / address)) if address else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.relative_to(site)}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{path.relative_to(site)}: {link}"
            checked += 1
    assert checked > 500


def test_nothing_is_fetched_from_the_network(site: Path, pages: dict[Path, Page]) -> None:
    for page in pages.values():
        assert not [address for address in page.fetched if address.startswith(("http:", "https:", "//"))]
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import", path.read_text(encoding="utf-8")), path


def test_every_public_name_is_on_the_page_with_its_description(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<h2 id="([\w.]+)"(.*?)(?=<h2 id|<footer)', page, flags=re.DOTALL))
    for public in names():
        text = html.unescape(re.sub(r"<[^>]+>", "", sections[public].partition("doc-contents")[2]))
        assert len(text.split()) >= 4, public


def test_generated_parts_are_in_their_pages(site: Path) -> None:
    expected = {
        "reference/commands.html": "msbench plugins check",
        "reference/configuration.html": "training.warmup",
        "reference/hooks.html": "msbench_epoch_finished",
        "reference/python.html": "msbench.api.Trainer",
        "reference/record.html": "max_abs_diff",
        "reference/plugin-classes.html": "threshold_group",
    }
    for page, words in expected.items():
        text = html.unescape(re.sub(r"<[^>]+>", "", (site / page).read_text(encoding="utf-8")))
        assert words in text, page
        assert "generated:" not in text, page


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_also_work_where_pages_are_read_as_files(page: Path) -> None:
    """In an editor, or on a forge: files and headings, as they lie in the repository."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        address, anchor = urldefrag(link)
        target = (page.parent / address).resolve() if address else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {slugify(head, "-") for head in heads}, link
