"""The contact sheet that a run leaves in the store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image

from msbench.board.library.sheets import picture_of, read_sheet
from msbench.data.dataset import Dataset, Samples
from msbench.runs.datasheet import leave_sheet
from msbench.tasks.task import Task
from tests.conftest import toy_samples, toy_tasks


class Toy(Dataset):
    """Sixteen pixels of light and dark."""

    name = "toy"
    licence = "none"
    broken = False

    def tasks(self) -> tuple[Task, ...]:
        return toy_tasks()

    def prepare(self, cache: Path, progress: object) -> None:
        raise AssertionError("it is prepared already")

    def samples(self, part: str, cache: Path) -> Samples:
        if self.broken:
            raise RuntimeError("a bad disk")
        return toy_samples({"train": 6, "validation": 3, "test": 2}[part], seed=0)

    def fingerprint(self, cache: Path) -> str:
        return "0123456789abcdef"


def test_it_leaves_a_picture_and_the_facts(tmp_path: Path) -> None:
    leave_sheet(Toy(), tmp_path, tmp_path / "datasets")
    assert sorted(path.name for path in (tmp_path / "datasets").iterdir()) == [
        "toy-0123456789ab.json",
        "toy-0123456789ab.png",
    ]
    sheet = read_sheet(tmp_path / "datasets", "toy", "0123456789abcdef")
    assert sheet
    assert sheet.parts == {"train": 6, "validation": 3, "test": 2}
    assert sheet.image == [3, 16, 16]
    assert [(task.name, task.classes) for task in sheet.tasks] == [
        ("segmentation", ["dark", "light"]),
        ("normals", []),
    ]
    assert (sheet.embedded, sheet.what, sheet.licence) == (False, "Sixteen pixels of light and dark.", "none")
    picture = picture_of(tmp_path / "datasets", sheet)
    assert picture
    assert Image.open(picture).width > 3 * 16


def test_it_writes_once(tmp_path: Path) -> None:
    leave_sheet(Toy(), tmp_path, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    leave_sheet(Toy(), tmp_path, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_no_failure_of_it_reaches_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = Toy()
    data.broken = True  # type: ignore[misc]
    with caplog.at_level(logging.WARNING):
        leave_sheet(data, tmp_path, tmp_path / "datasets")
    (tmp_path / "file").write_text("in the way")
    leave_sheet(Toy(), tmp_path, tmp_path / "file")
    assert "no contact sheet of toy: RuntimeError: a bad disk" in caplog.text
    assert not list(tmp_path.glob("datasets/*.json"))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"name": "toy"}'])
def test_a_damaged_sheet_is_no_sheet(tmp_path: Path, content: str) -> None:
    (tmp_path / "toy-0123456789ab.json").write_text(content)
    assert read_sheet(tmp_path, "toy", "0123456789abcdef") is None


def test_a_sheet_cannot_name_a_picture_elsewhere(tmp_path: Path) -> None:
    leave_sheet(Toy(), tmp_path, tmp_path / "datasets")
    sheet = read_sheet(tmp_path / "datasets", "toy", "0123456789abcdef")
    assert sheet
    (tmp_path / "secret.png").write_bytes(b"x")
    assert picture_of(tmp_path / "datasets", sheet.model_copy(update={"picture": "../secret.png"})) is None
