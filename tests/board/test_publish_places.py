"""Published records name no folder of the machine that made them, and are verified and compared all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from msbench.board.reading.load import Run, read_run
from msbench.board.site.build import build_site
from msbench.publishing.publish import PublicFolder, publish
from msbench.publishing.published import check_folder, manifest_of
from msbench.store.store import Store
from tests.board.published import record_of, run_id, save

ROOT = "/home/joe/camvid"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run on data in a home folder."""
    record = record_of("dense", command=f"msbench run -s dense -d rooms data.root={ROOT}")
    record.config = {"data": {"name": "rooms", "params": {"root": ROOT, "height": 90}}}
    save([record], tmp_path / "results" / "runs", extras=True)
    (tmp_path / "results" / "runs" / record.run_id / "config.yaml").unlink()
    return Store(tmp_path / "results")


def _publish(store: Store) -> str:
    (line,) = publish(store, store.ids(), PublicFolder(store.root.parent / "public"))
    return str(line)


def _public(store: Store) -> Run:
    return read_run(store.root.parent / "public" / "records" / run_id("dense", 0))


def _verify(store: Store) -> None:
    run = read_run(store.folder(run_id("dense", 0)))
    found = {"run_id": run.run_id, "at": "2026-01-02T03:04:05+00:00", "ok": True, "machine": {}}
    checks = [{"name": "data", "ok": True, "detail": f"read from {ROOT}"}]
    (run.folder / "verified.json").write_text(json.dumps({**found, "record_sha256": run.sha256, "checks": checks}))


def test_no_file_names_the_folder_and_the_command_still_makes_sense(store: Store, tmp_path: Path) -> None:
    _verify(store)
    assert _publish(store).startswith("added")
    public = _public(store)
    assert public.record.command == "msbench run -s dense -d rooms data.root=FOLDER"
    assert public.record.config == {"data": {"name": "rooms", "params": {"root": "FOLDER", "height": 90}}}
    build_site(public.folder.parent, tmp_path / "site")
    text = [path.read_text() for path in [*public.folder.iterdir(), *(tmp_path / "site").rglob("*.*")]
            if path.suffix in (".json", ".html", ".csv", ".tex", ".bib")]  # fmt: skip
    assert not [part for part in text if "joe" in part]
    page = (tmp_path / "site" / "runs" / f"{public.run_id}.html").read_text()
    assert "data.root=FOLDER" in page
    assert "root: FOLDER" in page
    own = read_run(store.folder(public.run_id)).record
    assert own.command.endswith(ROOT), "the store's own record is never changed"


def test_what_was_verified_stays_verified_and_publishing_again_changes_nothing(store: Store) -> None:
    _publish(store)
    assert _public(store).verified is None
    _verify(store)
    assert _publish(store) == f"verified: {run_id('dense', 0)}"
    assert _public(store).verified
    assert _publish(store) == f"unchanged: {run_id('dense', 0)}"
    assert check_folder(_public(store).folder)[1] == []


def test_a_record_published_with_paths_is_found_and_set_right(store: Store) -> None:
    _publish(store)
    public = _public(store)
    shutil.copyfile(store.folder(public.run_id) / "record.json", public.folder / "record.json")
    names = [path.name for path in public.folder.iterdir() if path.name != "published.json"]
    files = {name: public.folder / name for name in names}
    (public.folder / "published.json").write_text(manifest_of(public, files))
    assert check_folder(public.folder)[1] == [
        "the record holds paths of the machine that made it; publish or merge it again"
    ]
    assert _publish(store) == f"updated: {public.run_id}: without the paths of its machine"
    assert check_folder(public.folder)[1] == []


def test_other_figures_are_a_conflict_whatever_the_paths(store: Store) -> None:
    _publish(store)
    path = store.folder(run_id("dense", 0)) / "record.json"
    found = json.loads(path.read_text())
    found["metrics"]["depth"]["abs"]["value"] = 0.001
    path.write_text(json.dumps(found))
    line = _publish(store)
    assert line.startswith("conflict")
    assert "FOLDER" not in line
