"""Merging: several machines' records in one folder, from folders and from archives that nobody vouches for."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from msbench.board.reading.load import load
from msbench.cli.main import app
from msbench.errors import UserError
from msbench.publishing import archive
from msbench.publishing.archive import ArchiveError, unpack
from msbench.publishing.merge import merge
from msbench.publishing.publish import PublicFolder
from msbench.publishing.published import check_folder
from tests.board.published import record_of, run_id, save


def _merge(to: Path, *sources: Path) -> tuple[bool, str]:
    """Whether all was well, and every line that says what became of the records."""
    merged = merge(sources, PublicFolder(to))
    lines = [line for one in merged for line in (*map(str, one.records), *one.passed_over)]
    return all(one.good for one in merged), "\n".join(lines)


def test_the_same_run_of_another_machine_is_kept_beside_the_first(tmp_path: Path) -> None:
    for cpu in ("Alpha", "Beta"):
        save([record_of("dense", cpu=cpu), record_of("random", cpu=cpu)], tmp_path / cpu / "runs")
    arguments = ["leaderboard", "merge", *(str(tmp_path / cpu) for cpu in ("Alpha", "Beta"))]
    done = CliRunner().invoke(app, [*arguments, "--to", str(tmp_path / "public")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "2 another machine" in done.output
    pages = list((tmp_path / "public" / "site" / "runs").glob("*.html"))
    assert len(pages) == 2
    assert all("The same run on several machines" in page.read_text() for page in pages)
    loaded = load(tmp_path / "public" / "records")
    assert len(loaded.runs) == 2
    assert not loaded.unreadable
    run = next(run for run in loaded.runs if run.run_id == run_id("random", 0))
    assert run.machine.name == "Alpha"
    assert [other.machine.name for other in run.elsewhere] == ["Beta"]
    assert all(check_folder(folder)[1] == [] for folder in (tmp_path / "public" / "records").iterdir())


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    save([record_of("dense")], tmp_path / "runs")
    _merge(tmp_path / "public", tmp_path / "runs")
    assert _merge(tmp_path / "public", tmp_path / "runs") == (True, f"unchanged: {run_id('dense', 0)}")


def test_other_figures_of_the_same_run_and_machine_are_a_conflict(tmp_path: Path) -> None:
    save([record_of("dense")], tmp_path / "a")
    save([record_of("dense", status="diverged", reason="a loss became infinite")], tmp_path / "b")
    good, lines = _merge(tmp_path / "public", tmp_path / "a", tmp_path / "b")
    assert not good
    assert "conflict" in lines
    assert "status ok against diverged" in lines
    assert load(tmp_path / "public" / "records").runs[0].record.status == "ok"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tgz"])
def test_archives_of_a_store_are_read(tmp_path: Path, suffix: str) -> None:
    save([record_of("dense"), record_of("random")], tmp_path / "results" / "runs", extras=True)
    packed = _packed(tmp_path / f"store{suffix}", tmp_path / "results")
    good, lines = _merge(tmp_path / "public", packed)
    assert good
    assert lines.count("added") == 2
    assert (tmp_path / "public" / "records" / run_id("random", 0) / "history.parquet").is_file()
    assert not list((tmp_path / "public").glob(".merging*"))


def _packed(path: Path, folder: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for member in sorted(folder.rglob("*")):
                file.write(member, member.relative_to(folder.parent))
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(folder, folder.name)
    return path


def test_unreadable_records_are_listed_beside_good_ones(tmp_path: Path) -> None:
    save([record_of("dense")], tmp_path / "runs")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "record.json").write_text("{")
    good, lines = _merge(tmp_path / "public", tmp_path / "runs")
    assert not good
    assert "refused: broken: not a readable record" in lines
    assert len(load(tmp_path / "public" / "records").runs) == 1


def test_a_source_that_is_neither_folder_nor_archive_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        _merge(tmp_path / "public", tmp_path / "nowhere.zip.part")


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    "member",
    [
        _entry("../../escape/record.json"),
        _entry("/tmp/escape/record.json"),
        _entry("run/record.json", tarfile.SYMTYPE, "/etc/passwd"),
        _entry("run/record.json", tarfile.LNKTYPE, "/etc/passwd"),
        _entry("run/record.json", tarfile.CHRTYPE),
        _entry("run/record.json", tarfile.FIFOTYPE),
        _entry("record.json"),
    ],
)
def test_entries_that_lead_elsewhere_are_passed_over(tmp_path: Path, member: tarfile.TarInfo) -> None:
    passed_over = unpack(_tar(tmp_path / "a.tar.gz", (member, b"")), tmp_path / "out")
    assert len(passed_over) == 1
    assert not list(tmp_path.rglob("*.json"))


@given(name=st.text(max_size=40), back=st.integers(0, 3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_in_a_zip_chooses_a_place_on_the_disk(tmp_path: Path, name: str, back: int) -> None:
    buffer, out = tmp_path / "names.zip", tmp_path / "inside" / "out"
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo(f"{'../' * back}{name}/record.json".replace("\0", "")), "{}")
    unpack(buffer, out)
    for path in out.rglob("record.json"):
        assert path.resolve().is_relative_to(out.resolve())
        path.unlink()
    assert not list(tmp_path.rglob("record.json"))


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("run/record.json", b"0" * (archive.LARGEST + 1))


def _tar_bomb(path: Path) -> None:
    _tar(path, (_entry("run/weights.bin"), b"0" * 3_000_000))


def _long_header(path: Path) -> None:
    member = _entry("run/record.json")
    member.pax_headers = {"comment": "x" * 200_000}
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member, io.BytesIO())


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.zip", _zip_bomb, "larger than"),
        ("a.tar.gz", _tar_bomb, "GiB unpacked"),
        ("a.tar.gz", _long_header, "header is too large"),
        ("a.tar.gz", lambda path: path.write_bytes(b"no archive"), "not a readable archive"),
        ("a.zip", lambda path: path.write_bytes(b"no archive"), "not a readable archive"),
    ],
)
def test_bombs_and_rubbish_end_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / name)
    monkeypatch.setattr(archive._Bounded, "_left", 2_000_000)
    with pytest.raises(ArchiveError, match=reason):
        unpack(tmp_path / name, tmp_path / "out")


def test_what_an_archive_holds_beside_a_bomb_is_kept_and_the_bomb_is_named(tmp_path: Path) -> None:
    record = json.dumps(record_of("dense").model_dump(mode="json"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"runs/{run_id('dense', 0)}/record.json", record)
        file.writestr("runs/bomb/record.json", b" " * (archive.LARGEST + 1))
    good, lines = _merge(tmp_path / "public", tmp_path / "a.zip")
    assert not good
    assert "runs/bomb/record.json: larger than 16 MiB" in lines
    assert f"added: {run_id('dense', 0)}" in lines
