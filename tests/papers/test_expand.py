"""From a table to its runs: which, how often, and the command that makes each alone."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from msbench.cli.main import app, main
from msbench.errors import UserError
from msbench.papers.expand import expand
from msbench.papers.schema import PaperTable, load_table
from msbench.plugins import Plugins
from msbench.runs.plan import PlannedRun
from tests.conftest import msbench
from tests.papers.test_schema import NAMES

Plan = Callable[..., list[PlannedRun]]


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_expands_on_its_own_dataset(plan: Plan, name: str) -> None:
    """Every sparsifier, parameter, task and dataset that a file names is there."""
    table = load_table(name)
    runs = plan(table)
    planned = {run.config.sparsifier.name for run in runs}
    assert {row.sparsifier for row in table.rows} <= planned
    assert all(run.config.budget.scope == table.scope for run in runs)


def test_rows_that_share_a_run_plan_it_once(plan: Plan) -> None:
    runs = plan(load_table("papers/less_is_more_t1"), seeds=[0, 1])
    assert len(runs) == 2 * 21
    assert len({run.run_id for run in runs}) == len(runs)
    tasks = Counter(run.config.tasks for run in runs)
    assert tasks[("segmentation",)] == tasks[("segmentation", "depth", "normals")] == 6
    assert all(run.config.budget.mode == "natural" for run in runs)


def test_a_matched_table_has_its_reference_masks_and_meta_tests(plan: Plan, table: PaperTable) -> None:
    runs = plan(table)
    by_name = {(run.config.sparsifier.name, run.config.meta_test is not None): run for run in runs}
    reference = by_name["meta_sparsity", False]
    assert reference.config.budget.mode == "natural"
    assert by_name["one_shot_magnitude", False].reference == reference.run_id
    masked = by_name["one_shot[criterion=mask:meta_sparsity]", False]
    assert masked.config.sparsifier.params["criterion"] == f"mask:{reference.run_id}"
    tested = by_name["one_shot_magnitude", True]
    assert tested.config.tasks == ("segmentation", "depth", "normals")
    assert tested.config.meta_test is not None
    assert tested.config.meta_test.source == by_name["one_shot_magnitude", False].run_id


def test_flags_and_overrides_reach_the_runs(plan: Plan, table: PaperTable) -> None:
    runs = plan(table.with_budget("0.5"), model="quick", overrides=["training.samples=640"])
    budgets = {run.config.budget.share for run in runs if run.config.sparsifier.base != "dense"}
    assert budgets == {0.5}
    assert {run.config.model.name for run in runs} == {"quick"}
    assert {run.config.training.samples for run in runs} == {640, 160}, "a meta-test has a quarter"
    assert {run.config.data.params["size"] for run in runs} == {"xs"}


@pytest.mark.parametrize("override", ["tasks=[depth]", "meta_test.mode=same", "budget=natural"])
def test_what_the_rows_decide_cannot_be_overridden(plugins: Plugins, table: PaperTable, override: str) -> None:
    with pytest.raises(UserError, match=r"not with --preset papers/made_up"):
        expand(plugins, table, seeds=[0], overrides=[override])


def test_each_run_is_made_again_by_its_own_command(
    plan: Plan, table: PaperTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning the command that a run keeps plans that very run."""
    monkeypatch.setenv("MSBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    runs = plan(table, seeds=[1])
    runs += plan(load_table("papers/meta_sparsity_t6").model_copy(update={"scope": "model"}), seeds=[1])[:2]
    for run in runs:
        words = shlex.split(run.command)
        assert words[:2] == ["msbench", "run"]
        done = CliRunner().invoke(app, ["plan", *words[2:], "--results", str(tmp_path / "none")])
        assert run.run_id in done.output, run.command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--preset", "papers/meta_sparsty_t5"],
            "unknown preset 'papers/meta_sparsty_t5': did you mean 'papers/",
        ),
        (["results", "table", "papers/adapmtl_t11"], "did you mean 'papers/adapmtl_t1'?"),
        (["run", "--preset", "papers/less_is_more_t1", "-s", "dense"], "papers/less_is_more_t1 names its own runs"),
        (["plan", "--preset", "papers/less_is_more_t1", "--meta-test", "same"], "leave --meta-test out"),
        (["run", "--preset", "adapmtl_t1"], "unknown preset 'adapmtl_t1': did you mean 'papers/adapmtl_t1'?"),
        (["run"], "-s is missing"),
        (["results", "table", "papers/adapmtl_t1", "-d", "roms"], "unknown dataset 'roms': did you mean 'rooms'?"),
        (["results", "table", "papers/adapmtl_t1", "-m", "quik"], "unknown model 'quik': did you mean 'quick'?"),
        (["results", "table", "papers/less_is_more_t1", "--format", "tex"], "--format tex: did you mean 'text'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["msbench", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.long
def test_a_table_is_run_and_printed(tmp_path: Path, cache: Path) -> None:
    """Regrowth at smoke size: the run prints the paper's table, and so does the store afterwards."""
    arguments = ("--preset", "papers/meta_sparsity_t6", "preset=smoke", "-d", "rooms_xs")
    done = msbench("run", *arguments, cwd=tmp_path, cache=cache, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = msbench("results", "table", "papers/meta_sparsity_t6", cwd=tmp_path, cache=cache)
    for output in (done.stdout, shown.stdout):
        assert "papers/meta_sparsity_t6: Table 6" in output
        assert "44.1159" in output
        assert "not run" not in output
    again = msbench("run", *arguments, cwd=tmp_path, cache=cache)
    assert "Nothing to run: all 6 runs are in the store." in again.stdout
