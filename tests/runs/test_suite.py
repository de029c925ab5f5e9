"""The main job end to end, at smoke size: results, reuse, failures as rows, a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from msbench.config import BudgetConfig
from msbench.plugins import load_plugins
from msbench.records.record import Record, read_record
from msbench.selection import every
from msbench.store.store import Store
from tests.conftest import msbench
from tests.runs.processes import workers

BAD = Path(__file__).parent / "bad_plugins.py"
FILES = {"config.yaml", "record.json", "history.parquet", "model.safetensors", "log.txt", "samples.png"}
UNPRUNED = {cls.name for cls in load_plugins().classes("sparsifier").values() if not cls.sparse}  # type: ignore[attr-defined]
METHODS = len(every(load_plugins(), BudgetConfig(mode="matched")))
Suite = tuple[Path, subprocess.CompletedProcess[str]]


def records(folder: Path) -> dict[str, Record]:
    """Finished records by sparsifier name."""
    store = Store(folder / "results")
    found = [read_record(store.folder(run_id) / "record.json") for run_id in store.ids()]
    return {record.sparsifier.name: record for record in found}


def test_every_method_ends_well_on_its_budget(smoke_suite: Suite) -> None:
    folder, done = smoke_suite
    assert done.returncode == 0, done.stdout + done.stderr
    found = records(folder)
    assert len(found) == METHODS
    reference = found["meta_sparsity"]
    assert reference.budget is not None
    assert reference.budget.mode == "natural"
    for name, record in found.items():
        assert record.status == "ok", f"{name}: {record.reason}"
        assert record.allowance is not None
        assert record.allowance.samples - 16 < record.allowance.spent <= record.allowance.samples
        assert record.proof is not None
        assert record.proof.equal
        assert record.budget is not None
        if name != "meta_sparsity" and record.sparsifier.base not in UNPRUNED:
            assert record.budget.asked == reference.budget.achieved
            assert record.budget.reference == reference.run_id
            allowed = 0.005 if record.budget.structured else 0.001
            assert abs(record.budget.achieved - record.budget.asked) <= allowed  # type: ignore[operator]


def test_every_method_starts_from_the_same_weights_and_ends_elsewhere(smoke_suite: Suite) -> None:
    found = records(smoke_suite[0])
    assert len({record.hashes["initial_weights"] for record in found.values()}) == 1
    assert len({record.hashes["weights"] for record in found.values()}) == len(found)


def test_a_run_folder_is_complete(smoke_suite: Suite) -> None:
    runs = smoke_suite[0] / "results" / "runs"
    for folder in runs.iterdir():
        names = {path.name for path in folder.iterdir()}
        assert names >= FILES
        base = read_record(folder / "record.json").sparsifier.base
        assert ("mask.safetensors" in names) != (base in UNPRUNED)
        assert not names & {"job.json", "trained.json"}


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("meta_sparsity", {"lambda", "saliency_share", "sparsity_of_lambda"}),
        ("meta_sparsity_direct", {"lambda", "lambda_gradient", "penalty"}),
        ("adapmtl", {"threshold/backbone", "sparsity/backbone", "loss_weight/depth"}),
        ("one_shot_magnitude", {"loss_weight/depth"}),
    ],
)
def test_history_shows_what_a_method_learns(smoke_suite: Suite, name: str, logged: set[str]) -> None:
    folder, _ = smoke_suite
    run_id = records(folder)[name].run_id
    history = pd.read_parquet(folder / "results" / "runs" / run_id / "history.parquet")
    assert list(history.columns) == ["step", "samples", "name", "value"]
    assert logged | {"sparsity", "loss/depth", "validation/score"} <= set(history["name"])
    assert history["step"].is_monotonic_increasing


def test_delta_is_against_the_dense_run_of_the_same_seed(smoke_suite: Suite) -> None:
    found = records(smoke_suite[0])
    dense = found["dense"]
    assert dense.delta is None
    delta = found["random"].delta
    assert delta is not None
    assert delta.dense_run == dense.run_id
    changes = []
    for name, metric in found["random"].metrics["depth"].items():
        if metric.in_delta:
            base = dense.metrics["depth"][name].value
            changes.append((1 if metric.better == "higher" else -1) * (metric.value - base) / base)
    assert delta.per_task["depth"] == pytest.approx(100 * sum(changes) / len(changes))


def test_the_same_command_again_runs_nothing(smoke_suite: Suite, cache: Path) -> None:
    folder, _ = smoke_suite
    before = {path: path.stat().st_mtime_ns for path in (folder / "results" / "runs").rglob("*")}
    again = msbench("run", "-s", "all", "--preset", "smoke", cwd=folder, cache=cache)
    assert again.returncode == 0, again.stderr
    assert f"Nothing to run: all {METHODS} runs are in the store." in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "results" / "runs").rglob("*")} == before


def test_a_record_carries_the_command_that_makes_it(smoke_suite: Suite, cache: Path) -> None:
    folder, _ = smoke_suite
    record = records(folder)["random"]
    assert record.command == "msbench run -s random --budget matched --seed 0 --preset smoke"
    planned = msbench(*record.command.replace("run", "plan", 1).split()[1:], cwd=folder, cache=cache)
    assert record.run_id in planned.stdout
    assert "0 to run, 3 in the store" in planned.stdout


def test_results_verbs(smoke_suite: Suite, cache: Path) -> None:
    folder, _ = smoke_suite
    listed = msbench("results", "list", cwd=folder, cache=cache)
    assert listed.stdout.count("-rooms-smoke-") == METHODS
    shown = msbench("results", "show", "random-rooms", cwd=folder, cache=cache)
    assert json.loads(shown.stdout)["sparsifier"]["name"] == "random"
    exported = msbench("results", "export", "all.csv", cwd=folder, cache=cache)
    assert exported.returncode == 0, exported.stderr
    table = pd.read_csv(folder / "all.csv")
    assert len(table) == METHODS
    assert "metrics.depth.abs.value" in table.columns
    wrong = msbench("results", "show", "randm", cwd=folder, cache=cache)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("msbench: no run 'randm'")


@pytest.fixture(scope="module")
def bad_suite(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Suite:
    folder = tmp_path_factory.mktemp("bad")
    names = "overspends,touches_global,raises,exits,out_of_memory,diverges,not_a_number,misses,out_of_scope,random"
    arguments = ("run", "-s", names, "--budget", "0.5", "--preset", "smoke", "--plugin", str(BAD))
    return folder, msbench(*arguments, cwd=folder, cache=cache)


def test_failures_are_rows_with_reasons_and_the_rest_goes_on(bad_suite: Suite) -> None:
    folder, done = bad_suite
    assert done.returncode == 1, done.stderr
    found = records(folder)
    expected = {
        "overspends": ("failed", "asked for 8 more samples, but 320 of 320 are spent"),
        "touches_global": ("failed", "used the global generator of torch"),
        "raises": ("failed", "ValueError: no good <b>at all</b>"),
        "exits": ("killed", "exit code 7"),
        "out_of_memory": ("killed", "was killed by SIGKILL, as a system does that runs out of memory"),
        "diverges": ("diverged", "the loss of task"),
        "not_a_number": ("diverged", "the loss of task"),
        "misses": ("budget_missed", "sparsity, asked for 50.00% ± 0.50%"),
        "out_of_scope": ("failed", "outside the budget's scope"),
        "random": ("ok", ""),
        "dense": ("ok", ""),
    }
    for name, (status, reason) in expected.items():
        assert found[name].status == status, f"{name}: {found[name].status}: {found[name].reason}"
        assert reason in found[name].reason
    assert "<b>at all" not in (folder / "results" / "leaderboard" / "index.html").read_text(encoding="utf-8")


def test_a_failure_keeps_its_reason_with_the_end_of_its_log(bad_suite: Suite) -> None:
    folder, _ = bad_suite
    found = records(folder)
    for name, last in (
        ("raises", "ValueError: no good <b>at all</b>"),
        ("exits", "the last words of exits"),
        ("out_of_memory", "the last words of out_of_memory"),
        ("not_a_number", "the loss of task"),
    ):
        run = folder / "results" / "runs" / found[name].run_id
        first, *_, end = (run / "failure.txt").read_text(encoding="utf-8").splitlines()
        assert first == f"{found[name].status}: {found[name].reason}"
        assert last in end
        assert not (run / "model.safetensors").exists()


def test_failed_runs_are_tried_again_and_results_are_not(bad_suite: Suite, cache: Path) -> None:
    folder, _ = bad_suite
    arguments = ("plan", "-s", "raises,diverges,misses", "--budget", "0.5", "--preset", "smoke", "--plugin", str(BAD))
    planned = msbench(*arguments, cwd=folder, cache=cache)
    assert "1 to run, 3 in the store" in planned.stdout, planned.stdout


def test_a_run_that_takes_too_long_is_stopped(tmp_path: Path, cache: Path) -> None:
    arguments = ("run", "-s", "loops", "--budget", "0.5", "--preset", "smoke", "--plugin", str(BAD))
    done = msbench(*arguments, "--timeout", "30", cwd=tmp_path, cache=cache)
    assert done.returncode == 1, done.stderr
    found = records(tmp_path)
    assert (found["loops"].status, found["loops"].reason) == ("timeout", "stopped after 30 s")
    failure = tmp_path / "results" / "runs" / found["loops"].run_id / "failure.txt"
    assert failure.read_text(encoding="utf-8").endswith("the last words of loops\n")
    assert found["dense"].status == "ok"


def test_an_interrupted_command_leaves_no_failure_behind(tmp_path: Path, cache: Path) -> None:
    environment = {**os.environ, "MSBENCH_CACHE": str(cache)}
    command = [
        sys.executable,
        "-m",
        "msbench.cli.main",
        "run",
        "-s",
        "sleeps,random",
        "--budget",
        "0.5",
        "--preset",
        "smoke",
    ]
    # a shell's background jobs ignore interrupts, and their children would inherit that
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(
        [*command, "--plugin", str(BAD)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, ours)
    deadline = time.monotonic() + 120
    while not workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert errors.startswith("msbench: interrupted")
    assert not list((tmp_path / "results" / "runs").iterdir())


def test_a_killed_command_leaves_the_store_whole(tmp_path: Path, cache: Path) -> None:
    environment = {**os.environ, "MSBENCH_CACHE": str(cache)}
    command = [sys.executable, "-m", "msbench.cli.main", "run", "-s", "random", "--budget", "0.5", "--preset", "smoke"]
    child = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    staging = tmp_path / "results" / "staging"
    deadline = time.monotonic() + 120
    seen = False
    while not any(staging.glob("*/trained.json")) and time.monotonic() < deadline:
        seen = seen or bool(workers(tmp_path))
        time.sleep(0.05)
    assert seen
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 10
    while workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers(tmp_path), "a killed command left a run behind"
    for folder in (tmp_path / "results" / "runs").iterdir():
        read_record(folder / "record.json")
    done = msbench(*command[3:], cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    assert {name: record.status for name, record in records(tmp_path).items()} == {"dense": "ok", "random": "ok"}
    assert not list(staging.glob("*/trained.json"))
