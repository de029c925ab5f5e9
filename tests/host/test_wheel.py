"""An installed wheel runs the main job outside the clone: configurations and page assets are in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msbench.records.record import read_record

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel unpacked into it, as an installation would."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(folder.glob("msbench-*.whl"))
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


def weights(folder: Path) -> str:
    """Digest of the final weights of meta_sparsity."""
    (record,) = (folder / "results" / "runs").glob("meta_sparsity-rooms-*/record.json")
    return read_record(record).hashes["weights"]


def test_every_configuration_is_in_the_wheel(site: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*.yaml")}

    assert files(site / "msbench" / "configs") == files(ROOT / "configs")
    assert Path("papers", "meta_sparsity_t5.yaml") in files(ROOT / "configs")


def test_the_main_job_runs_from_the_wheel_to_the_same_bytes(
    site: Path, tmp_path: Path, cache: Path, smoke_suite: tuple[Path, object]
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site), "MSBENCH_CACHE": str(cache)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    where = run("-c", "import msbench.compose as c, msbench_plugins as p; print(c.config_folder(), p.__file__)")
    assert where.stdout.count(str(site)) == 2, where.stdout + where.stderr
    done = run("-m", "msbench.cli.main", "run", "-s", "meta_sparsity", "--budget", "matched", "--preset", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(tmp_path) == weights(smoke_suite[0]), "same seed, same bytes, whoever runs it"
    pages = tmp_path / "results" / "leaderboard"
    assert {"index.html", "data.json"} <= {path.name for path in pages.iterdir()}
    assert (pages / "assets" / "plotly.min.js").stat().st_size > 1_000_000
