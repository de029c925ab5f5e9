"""The example package: built, installed beside msbench, run from the command line, and its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msbench.records.record import read_record
from tests.host.test_imports import imports

EXAMPLE = Path(__file__).parent.parent.parent / "plugins" / "example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    install = [*pip, "--no-deps", "--no-build-isolation", "--target", str(target), str(EXAMPLE)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def python(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "MSBENCH_CACHE": str(folder / "cache"), "COLUMNS": "160"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_imports_the_public_surface_only() -> None:
    for path in (EXAMPLE / "msbench_example").glob("*.py"):
        assert {name for name in imports(path) if name.split(".")[0] == "msbench"} <= {"msbench.api"}, path


def test_it_is_found_by_its_entry_point_and_runs(site: Path, tmp_path: Path) -> None:
    words = ["run", "-s", "synflow", "-d", "discs", "--budget", "0.8", "--preset", "smoke", "model.head.name=finest"]
    done = python(site, tmp_path, "-m", "msbench.cli.main", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "results" / "runs").glob("synflow-discs-*/record.json")
    record = read_record(path)
    assert (record.status, record.sparsifier.plugin, record.sparsifier.version) == (
        "ok",
        "msbench-example:example",
        "0.1.0",
    )
    assert record.budget is not None
    assert record.budget.met
    assert set(record.metrics) == {"segmentation", "large"}
    assert record.model is not None
    assert record.model.head == "finest"


def test_its_own_tests_pass(site: Path, tmp_path: Path) -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not rules and not groups", str(EXAMPLE / "tests")]
    done = python(site, tmp_path, *words)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_it_keeps_every_rule(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"))
    assert done.returncode == 0, done.stdout
