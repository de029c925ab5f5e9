"""`msbench measure` on a run of the smoke suite."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs.plan import Command, make_plan
from msbench.store.store import Store
from tests.conftest import msbench


def check_measurement(runs: Path, name: str, folder: Path, cache: Path) -> None:
    """Measure a copy of a stored run, and look at everything that comes out."""
    source = next(path for path in sorted(runs.iterdir()) if path.name.startswith(name))
    copied = folder / "results" / "runs" / source.name
    shutil.copytree(source, copied)
    shutil.rmtree(copied / "measurements", ignore_errors=True)
    before = (copied / "record.json").read_bytes()

    done = msbench("measure", name, "--seconds", "0.05", "--size", "32", cwd=folder, cache=cache)

    assert done.returncode == 0, done.stderr
    assert (copied / "record.json").read_bytes() == before
    for words in ("cpu, 1x32x32, fp32", "backbone", "heads.depth", "fewer multiply-adds"):
        assert words in done.stdout
    (path,) = (copied / "measurements").glob("*.json")
    found = json.loads(path.read_text())
    cpu, gpu = found["cases"]
    assert cpu["eager"]["rounds"] >= 7
    assert cpu["eager"]["low"] <= cpu["eager"]["ratio"] <= cpu["eager"]["high"]
    assert bool(cpu["eager"]["why"]) == cpu["eager"]["noisy"] == ("noisy:" in done.stdout)
    assert found["allocator"]["MALLOC_MMAP_THRESHOLD_"] == str(4 * 2**30)
    assert found["multiply_adds"]["dense"] > found["multiply_adds"]["compact"]
    assert set(cpu["components"]) == {"backbone", "heads.segmentation", "heads.depth", "heads.normals"}
    if not torch.cuda.is_available():
        assert gpu["gaps"] == ["no GPU: torch sees none on this machine"]
        assert "gap: cuda: no GPU" in done.stdout
    shown = msbench("results", "show", name, cwd=folder, cache=cache)
    assert json.loads(shown.stdout)["measurements"] == [found]


def test_a_stored_run_is_measured_again(
    smoke_suite: tuple[Path, CompletedProcess[str]], tmp_path: Path, cache: Path
) -> None:
    check_measurement(smoke_suite[0] / "results" / "runs", "random", tmp_path, cache)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "nowhere"], "no run 'nowhere'"),
        (["measure", "x", "--batch", "1,none"], "--batch 1,none: whole numbers"),
        (["measure", "x", "--device", "gpu"], "--device 'gpu'"),
        (["measure", "x", "--dtype", "fp16"], "--dtype 'fp16'"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)

    assert isinstance(done.exception, UserError)
    assert message in str(done.exception)


def test_the_time_of_measuring_does_not_make_another_run_but_the_unit_does(plugins: Plugins, tmp_path: Path) -> None:
    def ids(*overrides: str) -> list[str]:
        options = {"preset": "smoke"}
        asked = experiment(
            plugins, sparsifiers=["random"], budget="0.5", seeds=[0], choices=options, overrides=overrides
        )
        plan = make_plan(plugins, [asked], Store(tmp_path), tmp_path, Command((), ()))
        return [run.run_id for run in plan]

    dense, random = ids()
    assert ids("engine.measure_seconds=9") == [dense, random]
    same_control, other = ids("budget.unit=macs")
    assert same_control == dense
    assert other != random
    assert other.startswith("random-rooms-smoke-0.5-macs-s0-")


def test_the_smoke_preset_measures_briefly(plugins: Plugins) -> None:
    asked = {
        preset: experiment(
            plugins, sparsifiers=["random"], budget="0.5", seeds=[0], choices={"preset": preset}, overrides=[]
        )
        for preset in ("smoke", "quick")
    }
    assert asked["smoke"].engine.measure_seconds == 0.3
    assert asked["quick"].engine.measure_seconds == 3.0
