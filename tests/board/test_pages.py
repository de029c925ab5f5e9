"""What the pages say, and that they are sound HTML whatever a record holds."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from msbench.records.record import Record
from tests.board.conftest import Factory

Built = Callable[[list[Record]], Path]
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


class Outline(HTMLParser):
    """Checks nesting, unique ids and table heads; collects tags."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag, f"</{tag}> at the wrong place, line {self.getpos()[0]}"

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_every_page_is_well_formed_with_unique_ids(site: Path) -> None:
    for path in site.rglob("*.html"):
        outline = Outline(path.read_text())
        ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path.name


def test_table_heads_have_a_scope_and_tables_that_scroll_can_be_focused(site: Path) -> None:
    for path in (site / "index.html", next((site / "runs").glob("random*.html"))):
        outline = Outline(path.read_text())
        assert all("scope" in attributes for attributes in outline.of("th"))
        regions = [a for a in outline.of("div") if "scroll" in (a.get("class") or "").split()]
        assert regions
        assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in regions)


def test_pictures_have_a_text(site: Path) -> None:
    page = Outline(next((site / "runs").glob("random*.html")).read_text())
    assert page.of("img")
    assert all(image["alt"] for image in page.of("img"))


def test_text_from_records_is_inert(factory: Factory, built: Built) -> None:
    records = [factory.record("dense"), factory.record("random"), factory.failed("adapmtl", reason=EVIL)]
    for record in records:
        record.sparsifier.name += EVIL
        record.sparsifier.notes = [EVIL]
        record.sparsifier.summary = record.sparsifier.paper = record.command = EVIL
        record.sparsifier.params = {EVIL: EVIL}
        record.environment = {EVIL: EVIL}
        record.run_id = f"evil-{record.sparsifier.base}"
        assert record.dataset
        record.dataset.name = EVIL
        for metrics in record.metrics.values():
            next(iter(metrics.values())).label = EVIL
    folder = built(records)
    for path in folder.rglob("*.html"):
        outline = Outline(path.read_text())
        assert all("onerror" not in attributes for _, attributes in outline.tags)
        allowed = ("../assets/", "assets/")
        for script in outline.of("script"):
            assert script.get("type") == "application/json" or (script.get("src") or "").startswith(allowed)


def test_a_paper_cannot_link_to_a_script(factory: Factory, built: Built) -> None:
    record = factory.record("random")
    record.sparsifier.paper = "javascript:alert(1)"
    page = Outline((built([record]) / "runs" / f"{record.run_id}.html").read_text())
    assert not [a for a in page.of("a") if (a.get("href") or "").startswith("javascript")]


def test_the_front_page_answers_the_first_questions(site: Path) -> None:
    html = (site / "index.html").read_text()
    for expected in (
        "As many backbone parameters removed as by meta_sparsity with the same seed",
        "at most 20\u202f000 training samples",
        "<strong>Synthetic data.</strong>",
        "constant 8.10",
        "Matched budget, structured",
        "<strong>failed</strong>, seeds 0–2: out of memory",
        "not measured",
        "Formulation B (saliency share) ran",
        "inexact, seeds 0–2: depth differs",
    ):
        assert expected in html, expected


def test_a_smoke_run_is_announced_on_every_page_with_its_figures(factory: Factory, built: Built) -> None:
    record = factory.record("random", preset="smoke")
    folder = built([record])
    for name in ("index", f"runs/{record.run_id}", "methods/random"):
        assert "<strong>Smoke run.</strong>" in (folder / f"{name}.html").read_text()


def test_real_data_carry_no_banner(factory: Factory, built: Built) -> None:
    record = factory.record("random")
    assert record.dataset
    record.dataset.synthetic = False
    assert 'class="banner"' not in (built([record]) / "index.html").read_text()


@pytest.mark.parametrize(
    "expected",
    [
        "msbench run -s random -d rooms --budget matched --seeds 0",
        "majority rate 41.30",
        "backbone.stage3.conv3",
        "compact = masked",
        "weights-0",
        "2.13.0",
        "epoch 1 of 4",
        "Training loss",
        'src="random-segmentation-matched-0.webp"',
        "https://arxiv.org/abs/2401.12345",
    ],
)
def test_a_run_page_has_all_that_is_needed_to_make_it_again(site: Path, expected: str) -> None:
    html = (site / "runs" / "random-segmentation-matched-0.html").read_text()
    assert expected in html
    assert "\x1b" not in html


def test_an_inexact_run_shows_no_speed_up_on_its_page(site: Path) -> None:
    html = (site / "runs" / "group_lasso-segmentation-matched-0.html").read_text()
    assert "withheld" in html
    assert "Theoretical speed-up" not in html


def test_a_collapsed_layer_is_named(factory: Factory, built: Built) -> None:
    record = factory.record("random")
    assert record.sparsity
    record.sparsity.channels["backbone.stage0.conv0"] = [0, 16]
    assert "collapsed" in (built([record]) / "runs" / f"{record.run_id}.html").read_text()
