"""Pages beside the boards: methods, datasets, plugins, changes; what they say, and that every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from msbench.board.library.catalogue import Catalogue, InstalledDataset, InstalledMethod, InstalledPackage, Parameter
from msbench.board.library.names import file_name, method_of
from msbench.board.library.sheets import Sheet, SheetTask
from msbench.board.library.shelf import Library
from msbench.board.site.build import build
from msbench.records.record import Record
from tests.board.conftest import Factory
from tests.board.test_pages import EVIL, Outline

Built = Callable[[list[Record]], Path]
PAGES = ("methods", "datasets", "papers", "plugins", "reading", "metrics", "changelog")
METHOD = InstalledMethod(
    "meta_sparsity", "meta_sparsity", "msbench-plugins:all", "0.1.0", "Learns `λ`.", ("How it goes.",),
    "A. Author, 2024, arXiv:2401.12345", (Parameter("phi", "float", "0.4", "Share of the `sensitivity`."),),
    {}, ("meta_direct",), ("a ruling",), "abc", True,
)  # fmt: skip
CATALOGUE = Catalogue(
    {"meta_sparsity": METHOD},
    {"rooms": InstalledDataset("rooms", "msbench-plugins:all", "0.1.0", "Drawn rooms.", True, "yours to use")},
    {"msbench-plugins": InstalledPackage("msbench-plugins", "0.1.0", "Built in.", {"sparsifier": ("meta_sparsity",)})},
)


@pytest.fixture(scope="module")
def full(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene with a catalogue, a contact sheet and notes."""
    folder = tmp_path_factory.mktemp("library")
    runs = factory.save(factory.scene(), folder / "runs")
    library = Library(CATALOGUE, None, sheets(folder), True, "# 2025\n\n* new *rows*\n\n<b>raw</b>")
    return build(runs, folder / "leaderboard", library).parent


def sheets(folder: Path, synthetic: bool = True) -> Path:
    """The scene's contact sheet, as `msbench run` leaves it."""
    place = folder / "datasets"
    place.mkdir()
    Image.new("RGB", (64, 32), (90, 120, 150)).save(place / "rooms-data-1.png")
    sheet = Sheet(
        name="rooms", fingerprint="data-1", embedded=synthetic, what="Drawn rooms.", parts={"train": 1},
        image=[3, 64, 64], tasks=[SheetTask(name="segmentation", kind="segmentation", classes=["wall", "lamp"])],
        picture="rooms-data-1.png",
    )  # fmt: skip
    (place / "rooms-data-1.json").write_text(sheet.model_dump_json())
    return place


def words(path: Path) -> str:
    """The text of a page, without tags, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", path.read_text()).split())


@pytest.mark.parametrize("which", ["full", "site"])
def test_every_link_and_anchor_leads_somewhere(request: pytest.FixtureRequest, which: str) -> None:
    folder: Path = request.getfixturevalue(which)
    outlines = {path: Outline(path.read_text()) for path in folder.rglob("*.html")}
    ids = {path: {a["id"] for _, a in outline.tags if "id" in a} for path, outline in outlines.items()}
    seen = 0
    for path, outline in outlines.items():
        for _, attributes in outline.tags:
            for link in filter(None, (attributes.get("href"), attributes.get("src"))):
                if re.match(r"(https?|data):", link):
                    continue
                target, _, anchor = unquote(link).partition("#")
                to = (path.parent / target).resolve() if target else path
                assert to.is_file(), f"{path.relative_to(folder)}: {link}"
                assert not anchor or anchor in ids[to], f"{path.relative_to(folder)}: {link}"
                seen += 1
    assert seen > 500


def test_every_page_is_reached_from_the_index(full: Path) -> None:
    reached: set[Path] = set()
    queue = [full / "index.html"]
    while queue:
        path = queue.pop()
        if path not in reached:
            reached.add(path)
            links = re.findall(r'href="([^"#:]+\.html)', path.read_text())
            queue += [(path.parent / link).resolve() for link in links]
    assert reached == set(full.rglob("*.html"))


@pytest.mark.parametrize("name", PAGES)
def test_the_navigation_marks_the_page_and_its_section(full: Path, name: str) -> None:
    current = [
        a["href"] for a in Outline((full / f"{name}.html").read_text()).of("a") if a.get("aria-current") == "page"
    ]
    assert current == [f"{name}.html"]
    for path in full.glob(f"{name}/*.html"):
        links = Outline(path.read_text()).of("a")
        assert [a["href"] for a in links if a.get("aria-current") == "true"] == [f"../{name}.html"]


def test_a_methods_page_has_its_class_its_rows_and_its_runs(full: Path) -> None:
    page = full / "methods" / "meta_sparsity.html"
    html, text = page.read_text(), words(page)
    assert "Learns <code>λ</code>." in html
    assert "https://arxiv.org/abs/2401.12345" in html
    assert "phi float 0.4 Share of the sensitivity ." in text
    assert "Formulation B (saliency share) ran" in text
    assert "msbench run -s meta_sparsity --budget natural --seeds 3" in text
    assert "Matched budget, structured" in text
    assert re.search(r"[−+]\d\.\d\d \[[−+]\d+\.\d\d, [−+]\d+\.\d\d\]", text), "Δ_T with its interval"
    assert all(f"meta_sparsity-segmentation-natural-{seed}.html" in html for seed in range(3))


def test_a_method_without_its_plugin_still_has_a_page(full: Path) -> None:
    text = words(full / "methods" / "random.html")
    assert "not installed on the machine that made these pages" in text
    assert "Makes a network sparse by random." in text
    assert "Run it" not in text


def test_unproven_rows_show_no_speed_up(full: Path) -> None:
    row = re.search(r"Matched budget, structured (.*?) Runs", words(full / "methods" / "group_lasso.html"))
    assert row
    assert "×" not in row[1]
    assert "inexact" in row[1]


def test_parameters_in_brackets_do_not_make_another_method(factory: Factory, built: Built) -> None:
    record = factory.record("random")
    record.sparsifier.name = "random[share=0.5]"
    folder = built([record])
    assert [path.name for path in folder.glob("methods/*.html")] == ["random.html"]
    assert "random[share=0.5]" in words(folder / "methods" / "random.html")


def test_a_datasets_page_has_sizes_fingerprint_classes_and_the_floor(full: Path) -> None:
    page = full / "datasets" / "rooms.html"
    text = words(page)
    for expected in (
        "2 000 train, 200 validation, 400 test", "64×64 pixels", "data-1", "wall, lamp", "yours to use",
        "Synthetic data.", "mIoU ↑, % 8.100", "absolute error ↓, m 0.9400",
    ):  # fmt: skip
        assert expected in text, expected
    assert 'src="../datasets/rooms-data-1.webp"' in page.read_text()
    assert (full / "datasets" / "rooms-data-1.webp").is_file()


def test_pictures_of_real_data_stay_away_unless_they_are_allowed(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("random")
    assert record.dataset
    record.dataset.synthetic = False
    runs = factory.save([record], tmp_path / "runs")
    place = sheets(tmp_path, synthetic=False)
    for allowed in (True, False):
        library = Library(sheets=place, real_images=allowed)
        folder = build(runs, tmp_path / f"site-{allowed}", library).parent
        assert (folder / "datasets" / "rooms-data-1.webp").exists() is allowed
        page = words(folder / "datasets" / "rooms.html")
        assert ("Pictures of real data are not on these pages" in page) is not allowed


def test_a_dataset_without_a_sheet_says_how_to_get_one(site: Path) -> None:
    assert "msbench data preview rooms" in words(site / "datasets" / "rooms.html")


def test_a_plugins_page_has_versions_sources_and_components(factory: Factory, tmp_path: Path) -> None:
    record = factory.record("meta_sparsity", mode="natural")
    record.hashes["sparsifier_sources"] = "abc"
    other = factory.record("random")
    other.sparsifier.plugin, other.sparsifier.version = "elsewhere:x", "9"
    runs = factory.save([record, other], tmp_path / "runs")
    folder = build(runs, tmp_path / "site", Library(CATALOGUE)).parent
    text = words(folder / "plugins" / "msbench-plugins.html")
    assert "meta_sparsity 1 0.1.0 abc same code" in text
    assert "Installed here no Versions of runs 9" in words(folder / "plugins" / "elsewhere.html")


def test_the_changelog_lists_days_runs_and_notes(full: Path) -> None:
    html, text = (full / "changelog.html").read_text(), words(full / "changelog.html")
    days = re.findall(r"(\d{4}-\d\d-\d\d) (\d+) runs", text)
    assert days == [("2025-11-22", "6"), ("2025-11-21", "6"), ("2025-11-20", "6")]
    assert "adapmtl 1 run, seed 2, 1 not ok" in text
    assert "<h3>2025</h3>" in html
    assert "<li>new <em>rows</em></li>" in html
    assert "<b>" not in html


def test_an_empty_store_has_every_page(built: Built) -> None:
    folder = built([])
    assert all((folder / f"{name}.html").is_file() for name in PAGES)


def test_text_of_plugins_and_sheets_is_inert(factory: Factory, tmp_path: Path) -> None:
    method = InstalledMethod(EVIL, EVIL, EVIL, EVIL, EVIL, (EVIL,), EVIL, (Parameter(EVIL, EVIL, EVIL, f"`{EVIL}`"),))
    dataset = InstalledDataset(EVIL, EVIL, EVIL, EVIL, True, EVIL, EVIL, EVIL, (EVIL,))
    package = InstalledPackage(EVIL, EVIL, EVIL, {"sparsifier": (EVIL,), "head": (EVIL,)})
    record = factory.record("random")
    record.sparsifier.name, record.sparsifier.notes, record.run_id = EVIL, [f"`{EVIL}`"], "evil"
    record.tasks[0].kind = EVIL
    library = Library(Catalogue({EVIL: method}, {EVIL: dataset}, {EVIL: package}), changes=EVIL)
    folder = build(factory.save([record], tmp_path / "runs"), tmp_path / "site", library).parent
    for path in folder.rglob("*.html"):
        outline = Outline(path.read_text())
        assert all("onerror" not in attributes for _, attributes in outline.tags), path
        for script in outline.of("script"):
            assert script.get("type") == "application/json" or "assets/" in (script.get("src") or ""), path


def test_names_become_safe_files_that_stay_apart() -> None:
    assert file_name("meta_sparsity") == "meta_sparsity"
    names = ["../up", "A", "a", "x/y", "x y", "", ".", "con:1", "λ", "é", "n" * 300]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,80}", name) for name in made)
    assert method_of("group_lasso[lam=1e-4]") == "group_lasso"
