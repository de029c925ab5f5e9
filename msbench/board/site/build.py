"""Builds the leaderboard folder: static pages that open by double click, without a network."""

from __future__ import annotations

import gc
import importlib.resources
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from msbench.board.downloads.export import board_files, data_json, record_lines, schema_json
from msbench.board.library.datasets import dataset_pictures
from msbench.board.library.shelf import Library
from msbench.board.plots.files import write_figures
from msbench.board.reading.load import Loaded, load
from msbench.board.site.ledger import LEDGER, Writer, package_version, read_ledger
from msbench.board.site.pages import pages
from msbench.board.site.pictures import write_pictures
from msbench.board.site.render import make_environment, rendering
from msbench.board.site.site import Site
from msbench.errors import UserError

_DATA: Final = "data.json"
"""Also marks a folder as one that a build may replace."""


@dataclass(frozen=True)
class Built:
    """A leaderboard's index.html, what its records said, and the paths of files that had to be made for it."""

    index: Path
    loaded: Loaded
    made: tuple[str, ...]


def build(runs: Path, out: Path, library: Library | None = None) -> Path:
    """Like `build_site`; returns the leaderboard's index.html."""
    return build_site(runs, out, library).index


def build_site(runs: Path, out: Path, library: Library | None = None, *, figures: bool = False) -> Built:
    """Read `runs/*/record.json` and write the leaderboard to the folder `out`.

    The folder is written beside `out` and renamed into place: until then the old one stays, whole. Files whose
    contents cannot have changed are taken over from it. Unreadable records are listed on the index and stop nothing.
    figures: with those of boards as PDF, a third of a second each; the others are taken over.
    Raises UserError when `out` holds something else, and for figures without matplotlib.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f".{out.name}.lock")):
        _recover(out)
        _refuse_foreign(out)
        fresh = out.with_name(f".{out.name}.building")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            loaded, made = _write(runs, out, fresh, library or Library(), figures)
            _swap(fresh, out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return Built(out / "index.html", loaded, tuple(made))


def _write(runs: Path, old: Path, fresh: Path, library: Library, figures: bool) -> tuple[Loaded, list[str]]:
    before = read_ledger(old)
    writer = Writer(fresh, old, before)
    with _kept() as keep:
        loaded = load(runs, frozenset(before.records))
        keep()
        site = Site(loaded, package_version("msbench"), library, dict(before.lines), figures)
        changed = [page for page in pages(site) if not writer.take(page.path, page.digest)]
        with rendering([(page, writer.place(page.path)) for page in changed], make_environment(site.version)):
            _write_downloads(site, writer)
        for page in changed:
            writer.note(page.path, page.digest)
        if figures:
            write_figures(site, writer)
    sampled = [run for run in loaded.runs if any(name == "samples.png" for name, _, _ in run.files)]
    predictions = {f"runs/{run.run_id}.webp": run.folder / "samples.png" for run in sampled}
    write_pictures(writer, predictions | dataset_pictures(site))
    _copy_assets(writer)
    records = [run.sha256 for run in (*loaded.runs, *(other for run in loaded.runs for other in run.elsewhere))]
    writer.finish(
        records, {key: site.lines[key] for board in site.boards if (key := site.digest_of(board)) in site.lines}
    )
    return loaded, writer.made


def _write_downloads(site: Site, writer: Writer) -> None:
    """What others build on: a board's tables, every record, and their schema."""
    for board in site.boards:
        writer.texts(
            f"board {board.slug}",
            site.digest_of(board),
            lambda board=board: board_files(site.rows(board)),  # type: ignore[misc]
        )
    writer.text(_DATA, site.digest, lambda: data_json(site, _known_lines(writer)))
    writer.text("data.schema.json", "", schema_json)


def _known_lines(writer: Writer) -> Mapping[str, str]:
    """Lines of the old data.json, by the digests of the record files that they were made from."""
    digests, lines = writer.before.records, record_lines(writer.old_text(_DATA))
    return dict(zip(digests, lines, strict=True)) if len(digests) == len(lines) else {}


def _copy_assets(writer: Writer) -> None:
    plotly = importlib.resources.files("plotly") / "package_data/plotly.min.js"
    own = importlib.resources.files("msbench.board").joinpath("static").iterdir()
    for asset in (plotly, *sorted(own, key=lambda asset: asset.name)):
        with importlib.resources.as_file(asset) as source:
            writer.copy(f"assets/{source.name}", source)


@contextmanager
def _kept() -> Iterator[Callable[[], None]]:
    """Thousands of records stay until the end: the search for garbage waits while they are read, and then skips them.

    Gives what to call when they are read.
    """
    enabled = gc.isenabled()
    gc.disable()

    def keep() -> None:
        gc.freeze()
        if enabled:
            gc.enable()

    try:
        yield keep
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / _DATA).is_file())):
        raise UserError(f"{out}: is not a leaderboard folder, so it is not replaced; choose an empty or new folder")


def _old(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _recover(out: Path) -> None:
    """Put back the old folder that a build left aside when it was interrupted between its two renames."""
    if not out.exists() and (_old(out) / LEDGER).is_file():
        _old(out).rename(out)


def _swap(fresh: Path, out: Path) -> None:
    """Put the new folder in the old one's place; the old one comes back should that fail."""
    old = _old(out)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    try:
        fresh.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
