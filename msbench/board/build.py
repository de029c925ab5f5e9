"""Builds the leaderboard folder: static pages that open by double click, without a network."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import shutil
from pathlib import Path
from typing import Final

from filelock import FileLock

from msbench.board.export import board_csv, data_json
from msbench.board.load import load
from msbench.board.pages import Site
from msbench.board.ranking import BoardRows
from msbench.errors import UserError

_DATA: Final = "data.json"
"""Also marks a folder as one that a build may replace."""


def build(runs: Path, out: Path) -> Path:
    """Read `runs/*/record.json` and write the leaderboard to the folder `out`; returns its index.html.

    The folder is written beside `out` and renamed into place: until then the old one stays, whole. Unreadable
    records are listed on the index and stop nothing. Raises UserError when `out` holds something else.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f".{out.name}.lock")):
        _refuse_foreign(out)
        fresh = out.with_name(f".{out.name}.building")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            _write(runs, fresh)
            _swap(fresh, out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return out / "index.html"


def _write(runs: Path, folder: Path) -> None:
    loaded = load(runs)
    site = Site(loaded, _version())
    files = site.pages()
    files |= {f"csv/{board.slug}.csv": board_csv(BoardRows.of(board)) for board in site.boards}
    files[_DATA] = data_json(loaded, site.boards, site.version)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    for run in loaded.runs:
        picture = run.folder / "samples.png"
        if picture.is_file():
            shutil.copyfile(picture, folder / "runs" / f"{run.run_id}.png")
    (folder / "assets").mkdir()
    _copy_asset("plotly", "package_data/plotly.min.js", folder / "assets")
    for name in ("board.css", "board.js"):
        _copy_asset("msbench.board", f"static/{name}", folder / "assets")


def _copy_asset(package: str, name: str, folder: Path) -> None:
    with importlib.resources.as_file(importlib.resources.files(package) / name) as source:
        shutil.copyfile(source, folder / source.name)


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / _DATA).is_file())):
        raise UserError(f"{out}: is not a leaderboard folder, so it is not replaced; choose an empty or new folder")


def _swap(fresh: Path, out: Path) -> None:
    """Put the new folder in the old one's place; the old one comes back should that fail."""
    old = out.with_name(f".{out.name}.old")
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


def _version() -> str:
    try:
        return importlib.metadata.version("msbench")
    except importlib.metadata.PackageNotFoundError:
        return ""
