"""engine.processes: a run in two processes is the run in one, ends with its reason, and leaves no process behind."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from msbench.config import EngineConfig
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.records.record import Record, read_record
from msbench.runs.engines import devices
from msbench.runs.engines.devices import Gpus, runs_at_a_time, visible_gpus
from msbench.runs.engines.parallel import Prefixed
from msbench.runs.engines.sharing import sharing
from tests.conftest import msbench
from tests.runs.processes import workers
from tests.runs.scripted import planned

PLUGINS = Path(__file__).with_name("rank_plugins.py")
ASKED = ("run", "--budget", "0.5", "--preset", "smoke", "training.samples=64", "engine.device=cpu")
TWO = "engine.processes=2"


def found(folder: Path) -> dict[str, tuple[Path, Record]]:
    """Folder and record of each run of a store, by sparsifier."""
    records = [(path.parent, read_record(path)) for path in (folder / "results" / "runs").glob("*/record.json")]
    return {record.sparsifier.name: (place, record) for place, record in records}


@pytest.mark.long
def test_two_processes_make_the_run_that_one_makes(tmp_path: Path, cache: Path) -> None:
    stores = [tmp_path / name for name in ("one", "two")]
    for store, processes in zip(stores, ("1", "2"), strict=True):
        store.mkdir()
        asked = (*ASKED, "-s", "one_shot_magnitude", "engine.measure_seconds=0.05", f"engine.processes={processes}")
        done = msbench(*asked, cwd=store, cache=cache)
        assert done.returncode == 0, done.stderr
    one, two = (found(store) for store in stores)
    assert one.keys() == two.keys() == {"dense", "one_shot_magnitude"}
    for name, (place, record) in one.items():
        other_place, other = two[name]
        assert (other.status, record.status) == ("ok", "ok")
        assert other.run_id != record.run_id
        for task, metrics in record.metrics.items():
            for metric, value in metrics.items():
                assert other.metrics[task][metric].value == pytest.approx(value.value, rel=1e-4, abs=1e-6)
        weights, others = (load_file(folder / "model.safetensors") for folder in (place, other_place))
        for key, weight in weights.items():
            assert torch.allclose(others[key].double(), weight.double(), rtol=1e-3, atol=1e-5), key
        assert {path.name for path in other_place.iterdir()} == {path.name for path in place.iterdir()}
    masks = [load_file(runs["one_shot_magnitude"][0] / "mask.safetensors") for runs in (one, two)]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    assert not workers(tmp_path)


@pytest.mark.long
def test_a_process_that_fails_ends_the_run_with_its_reason(tmp_path: Path, cache: Path) -> None:
    asked = (*ASKED, "-s", "second_raises,second_dies,drifts", "--plugin", str(PLUGINS), TWO)
    assert msbench(*asked, cwd=tmp_path, cache=cache).returncode == 1
    runs = {name: record for name, (_, record) in found(tmp_path).items()}
    expected = {
        "second_raises": ("killed", "exit code 1: process 1 of 2 failed: ValueError: no good"),
        "second_dies": ("killed", "process 1 of 2 was killed by SIGKILL"),
        "drifts": ("failed", "the 2 processes of this run have come to different weights"),
        "dense": ("ok", ""),
    }
    for name, (status, reason) in expected.items():
        assert runs[name].status == status, f"{name}: {runs[name].reason}"
        assert reason in runs[name].reason
    assert not workers(tmp_path)


@pytest.mark.long
def test_a_run_that_takes_too_long_ends_in_all_its_processes(tmp_path: Path, cache: Path) -> None:
    asked = (*ASKED, "-s", "stuck", "--plugin", str(PLUGINS), TWO, "engine.timeout=40")
    assert msbench(*asked, cwd=tmp_path, cache=cache).returncode == 1
    _, record = found(tmp_path)["stuck"]
    assert (record.status, record.reason) == ("timeout", "stopped after 40 s")
    deadline = time.monotonic() + 5
    while workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers(tmp_path)


def test_several_processes_make_another_run_and_one_does_not(plugins: Plugins, tmp_path: Path) -> None:
    plain, one, two = (
        planned(plugins, tmp_path, "random", overrides=given)[-1] for given in ((), ("engine.processes=1",), (TWO,))
    )
    assert plain.run_id == one.run_id != two.run_id
    assert plain.identity["config"]["engine"].keys() == {"device", "threads"}
    assert two.identity["config"]["engine"]["processes"] == 2


def test_runs_in_several_processes_share_no_start(plugins: Plugins, tmp_path: Path) -> None:
    names = ("one_shot_magnitude", "random")
    assert "share" in sharing(plugins, planned(plugins, tmp_path, *names))
    assert sharing(plugins, planned(plugins, tmp_path, *names, overrides=(TWO,))) == ""


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("engine.processes=0",), "engine.processes=0"),
        (("engine.processes=9", "training.batch=8"), "engine.processes=9: more than the 8 samples of a batch"),
        ((TWO, "training.compile=true"), "engine.processes=2: training.compile is for one process"),
        ((TWO, "engine.device=cuda:1"), "engine.processes=2: a GPU each, and device=cuda:1 is one"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(plugins: Plugins, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        experiment(
            plugins,
            sparsifiers=["dense"],
            budget="0.5",
            seeds=[0],
            choices={"preset": "smoke"},
            overrides=overrides,
        )


def test_a_run_gets_a_gpu_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(["0", "1", "2", "3"])
    with gpus.some(2) as first, gpus.some(2) as second:
        assert [first[devices.VISIBLE], second[devices.VISIBLE]] == ["0,1", "2,3"]
    with gpus.some(4) as every:
        assert every[devices.VISIBLE] == "0,1,2,3"
    config = EngineConfig(processes=2)
    assert [runs_at_a_time(config, gpus=number, cores=8) for number in (4, 3, 2, 0)] == [2, 1, 1, 4]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"engine.processes=2: a GPU each, and this machine shows 1"):
        visible_gpus(config)
    assert visible_gpus(config.model_copy(update={"device": "cpu"})) == ()


def test_lines_of_other_processes_say_whose_they_are() -> None:
    log = io.StringIO()
    stream = Prefixed(log, "[process 1] ")
    print("a", "b", file=stream)
    stream.write("half")
    stream.write(" a line\nand")
    assert log.getvalue() == "[process 1] a b\n[process 1] half a line\n"
