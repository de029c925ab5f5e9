"""`msbench plugins new`: each package passes its own check at once; nothing is half written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.scaffold import write_package

KINDS = ("sparsifier", "dataset", "backbone", "head", "criterion")


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole_and_readable(kind: str, plugins: Plugins, tmp_path: Path) -> None:
    folder = write_package(plugins, kind, "my_own", tmp_path)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "README.md", "msbench_my_own.py", "tests/test_my_own.py"}
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["msbench"] == {"my_own": "msbench_my_own"}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("msbench."):
                assert node.module in ("msbench.api", "msbench.conformance")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,UP,B", folder]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["my_own"], "nothing else is left behind"


@pytest.mark.parametrize("kind", ["head", "criterion"])
def test_it_passes_its_own_check_at_once(kind: str, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["plugins", "new", kind, f"quick_{kind}", "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    done = CliRunner().invoke(app, ["plugins", "check", str(tmp_path / f"quick_{kind}")])
    assert done.exit_code == 0, done.output
    assert "0 failed, 0 skipped" in done.output


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(kind: str, plugins: Plugins, tmp_path: Path) -> None:
    folder = write_package(plugins, kind, f"long_{kind}", tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("sparsifier", "My-Method", "the name 'My-Method': use small letters"),
        ("sparsifier", "class", "the name 'class': use small letters"),
        ("sparsifier", "../up", "the name '../up': use small letters"),
        ("sparsifier", "snip", "there is a sparsifier 'snip' already, of msbench:sparsifiers"),
        ("head", "taken", "taken exists: choose another name"),
    ],
)
def test_a_name_that_cannot_be_used(kind: str, name: str, message: str, plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match=message):
        write_package(plugins, kind, name, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def test_nothing_is_left_where_writing_fails(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("msbench.scaffold.os.rename", full)
    with pytest.raises(UserError, match="cannot write there: No space left on device"):
        write_package(plugins, "head", "mine", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_ships_the_templates() -> None:
    root = Path(__file__).parent.parent.parent
    shipped = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    templates = {str(path.relative_to(root)) for path in (root / "msbench" / "scaffold").rglob("*.jinja")}
    assert len(templates) == 8
    assert templates <= shipped


def test_a_folder_that_is_a_file(plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write there"):
        write_package(plugins, "head", "mine", tmp_path / "file")
