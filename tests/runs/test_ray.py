"""`engine=ray` on a cluster of this machine alone: results as by the local engine, a lost worker, refusals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from msbench.config import EngineConfig
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.request import make_request
from msbench.runs.engines import ray_node
from msbench.runs.engines.ray_cluster import connected, ray_package, resources
from msbench.runs.engines.ray_engine import Lost
from msbench.runs.engines.ray_node import ATTEMPT, Ground, Order
from tests.runs.ray_plugins import MARK
from tests.runs.ray_suites import Told, assert_same, suite
from tests.runs.scripted import planned


@pytest.fixture(scope="module")
def ray_here() -> Iterator[object]:
    """A cluster of two cores, for the whole module."""
    with connected(EngineConfig(name="ray", jobs=2)) as ray:
        yield ray


def test_results_are_those_of_the_local_engine_though_a_worker_is_lost(
    ray_here: object, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_ray, by_itself, display = tmp_path / "ray", tmp_path / "local", Told()
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    records = suite(by_ray, cache, ("lost_once",), "engine=ray", display=display)
    assert {record.status for record in records.values()} == {"ok"}
    assert suite(by_itself, cache, ("lost_once",)).keys() == records.keys()
    assert_same(by_ray, by_itself, records)
    assert all(display.shares[run_id][-1] == 1.0 for run_id in records)
    lost = next(run_id for run_id in records if run_id.startswith("lost_once"))
    assert display.starts.count(lost) == 2
    assert "it is started again" in (by_ray / "runs" / lost / "log.txt").read_text(encoding="utf-8")
    left = [path.name for folder in (by_ray, cache) for path in folder.glob(".msbench-*")]
    assert left == []
    assert list((by_ray / "staging").iterdir()) == []


def test_what_a_run_takes_must_fit_into_a_node(ray_here: object) -> None:
    assert resources(ray_here, EngineConfig(name="ray", threads=2)) == {"num_cpus": 2, "num_gpus": 0}
    with pytest.raises(UserError, match=r"no node of the cluster has 1000 CPUs \(engine.threads\), which a run needs"):
        resources(ray_here, EngineConfig(name="ray", threads=1000))


def test_a_second_connection_is_refused(ray_here: object) -> None:
    with (
        pytest.raises(UserError, match="connected to a Ray cluster already"),
        connected(EngineConfig(name="ray", address="auto")),
    ):
        pass


def test_the_engine_does_not_make_a_run_another_run(plugins: Plugins, tmp_path: Path, cache: Path) -> None:
    ids = [
        [run.run_id for run in planned(plugins, tmp_path, "random", overrides=overrides)]
        for overrides in ((), ("engine=ray", "engine.address=auto", "engine.retries=7"))
    ]
    assert ids[0] == ids[1]


def test_the_command_of_a_run_does_not_say_where_it_ran(plugins: Plugins) -> None:
    asked = make_request(
        plugins,
        ["random"],
        budget="0.5",
        seeds=[0],
        dataset=None,
        model=None,
        preset="smoke",
        meta_test=None,
        sources=(),
        overrides=("engine=ray", "engine.address=auto", "engine.threads=2"),
    )
    assert asked.experiments[0].engine.name == "ray"
    assert asked.command.overrides == ("engine.threads=2",)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("engine.address=auto", "engine.address=auto: only engine=ray has one"),
        ("engine=rey", "unknown engine 'rey': did you mean 'ray'?"),
    ],
)
def test_what_does_not_fit_is_refused(plugins: Plugins, override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment(
            plugins, sparsifiers=["dense"], budget="0.5", seeds=[0], choices={"preset": "smoke"}, overrides=[override]
        )
    assert str(caught.value) == said


def test_ray_chooses_the_gpu(plugins: Plugins) -> None:
    with pytest.raises(UserError, match=r"engine.device=cuda:1: Ray chooses the GPU of a run; use auto, cpu or cuda"):
        experiment(
            plugins,
            sparsifiers=["dense"],
            budget="0.5",
            seeds=[0],
            choices={"preset": "smoke"},
            overrides=["engine=ray", "engine.device=cuda:1"],
        )


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UserError, match=r"^engine=ray needs Ray, which is not installed: pip install 'msbench\[ray\]'$"
    ):
        ray_package()


def test_a_node_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_node, "PATIENCE", 0.0)
    ground = Ground.of(tmp_path / "results", tmp_path / "cache")
    with ground.marked():
        ground.check()
        (tmp_path / "cache" / ground.token).unlink()
        with pytest.raises(UserError, match=r"does not see the folder .*cache .*: MSBENCH_CACHE must be a folder that"):
            ground.check()
    with pytest.raises(UserError, match=r"does not see the folder .*results .*: --results must be a folder that"):
        ground.check()
    for other, said in (
        (replace(ground, folders={}, packages={**ground.packages, "torch": "1.0"}), "has torch .*has 1.0: install"),
        (replace(ground, folders={}, sources="else"), "has another msbench"),
    ):
        with pytest.raises(UserError, match=said):
            other.check()


def test_an_attempt_stands_until_the_run_is_given_to_another(tmp_path: Path) -> None:
    first, second = (Order("run", tmp_path, 1, None, attempt) for attempt in ("a", "b"))
    assert not first.stands()
    first.give()
    assert first.stands()
    second.give()
    assert (first.stands(), second.stands()) == (False, True)
    (tmp_path / ATTEMPT).unlink()
    assert not second.stands()


def test_a_loss_says_how_often() -> None:
    assert str(Lost(-9, times=1, why="NodeDiedError of a")) == "was lost once (NodeDiedError of a)"
    assert str(Lost(-9, times=3, why="NodeDiedError of a")) == "was lost 3 times (NodeDiedError of a)"
