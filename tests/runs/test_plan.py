"""Which runs a command needs, and what makes a run another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins, load_plugins
from msbench.runs.identity import sources
from msbench.runs.plan import Command, PlannedRun, make_plan, order
from msbench.store.store import Store

SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar
from msbench.api import Sparsifier, Trainer, hookimpl
from {helper} import SHARE

@dataclass
class Mine(Sparsifier):
    """Mine."""
    name: ClassVar[str] = "mine"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=SHARE)

@hookimpl
def msbench_sparsifiers():
    return [Mine]
'''


def plan(
    plugins: Plugins, tmp_path: Path, *names: str, overrides: tuple[str, ...] = (), **asked: Any
) -> list[PlannedRun]:
    given = {"budget": "matched", "seeds": [0], "choices": {"preset": "smoke"}, **asked}
    found = experiment(plugins, sparsifiers=names, overrides=overrides, **given)
    return make_plan(plugins, [found], Store(tmp_path), tmp_path, Command((), overrides))


def names_of(runs: list[PlannedRun]) -> list[str]:
    return [run.config.sparsifier.name for run in runs]


def test_dense_and_reference_are_planned_for_what_needs_them(plugins: Plugins, tmp_path: Path) -> None:
    assert names_of(plan(plugins, tmp_path, "random")) == ["dense", "meta_sparsity", "random"]
    assert names_of(plan(plugins, tmp_path, "dense")) == ["dense"]
    assert names_of(plan(plugins, tmp_path, "meta_sparsity")) == ["dense", "meta_sparsity"]
    assert names_of(plan(plugins, tmp_path, "random", budget="0.5")) == ["dense", "random"]


def test_a_mask_criterion_waits_for_the_run_that_it_names(plugins: Plugins, tmp_path: Path) -> None:
    runs = plan(plugins, tmp_path, "one_shot[criterion=mask:random]")
    assert names_of(runs) == ["dense", "meta_sparsity", "random", "one_shot[criterion=mask:random]"]
    assert runs[3].config.sparsifier.params["criterion"] == f"mask:{runs[2].run_id}"
    assert runs[3].depends == (runs[1].run_id, runs[2].run_id)
    of_reference = plan(plugins, tmp_path, "one_shot[criterion=mask:meta_sparsity]")
    assert of_reference[2].config.sparsifier.params["criterion"] == f"mask:{of_reference[1].run_id}"
    with pytest.raises(UserError, match="no run 'nothing'"):
        plan(plugins, tmp_path, "one_shot[criterion=mask:nothing]")
    with pytest.raises(UserError, match="removes nothing"):
        plan(plugins, tmp_path, "one_shot[criterion=mask:dense]")


def test_a_misspelt_criterion_is_found_before_anything_runs(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown criterion 'magnitud': did you mean 'magnitude'"):
        plan(plugins, tmp_path, "one_shot[criterion=magnitud]")


@pytest.mark.parametrize(
    ("asked", "before", "after"),
    [
        ("same", ("segmentation", "depth", "normals"), ("segmentation", "depth", "normals")),
        ("add:depth", ("segmentation", "normals"), ("segmentation", "normals", "depth")),
        ("only:edges", ("segmentation", "depth", "normals"), ("edges",)),
        ("only:edges+depth", ("segmentation", "normals"), ("edges", "depth")),
    ],
)
def test_meta_tests_follow_their_source(
    plugins: Plugins, tmp_path: Path, asked: str, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    runs = plan(plugins, tmp_path, "random,single_task", budget="0.5", meta_test=asked)
    assert names_of(runs) == ["dense", "dense", "random", "random", "single_task"]
    dense, dense_test, random, random_test, _ = runs
    assert dense.config.tasks == random.config.tasks == before
    assert dense_test.config.tasks == random_test.config.tasks == after
    assert random_test.config.meta_test is not None
    assert random_test.config.meta_test.source == random.run_id
    assert random_test.depends == (random.run_id,)
    assert random_test.dense == dense_test.run_id
    assert random_test.config.training.samples == random.config.training.samples // 4


def test_meta_tests_of_one_source_have_each_their_own_control(plugins: Plugins, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"sparsifiers": ["random"], "budget": "0.5", "seeds": [0], "choices": {"preset": "smoke"}}
    both = [experiment(plugins, **asked, overrides=[], meta_test=f"{mode}:edges") for mode in ("add", "only")]
    runs = {run.run_id: run for run in make_plan(plugins, both, Store(tmp_path), tmp_path, Command((), ()))}
    assert len(runs) == 6
    for run in runs.values():
        if run.dense is not None:
            assert runs[run.dense].config.tasks == run.config.tasks


@pytest.mark.parametrize("wrong", ["add", "same:depth", "add:edgs", "elsewhere:depth"])
def test_a_wrong_meta_test_is_refused(plugins: Plugins, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UserError, match=r"meta.test|edges"):
        plan(plugins, tmp_path, "random", budget="0.5", meta_test=wrong)


def test_the_reference_is_the_one_that_was_selected(plugins: Plugins, tmp_path: Path) -> None:
    runs = plan(plugins, tmp_path, "random,group_lasso", overrides=("budget.reference=group_lasso",))
    assert names_of(runs) == ["dense", "group_lasso", "random"]
    assert runs[2].reference == runs[1].run_id
    assert order(runs)[0] is runs[1], "others wait for it, so it goes first"


def test_seeds_are_matched_one_by_one(plugins: Plugins, tmp_path: Path) -> None:
    runs = plan(plugins, tmp_path, "random", seeds=[0, 1])
    by_id = {run.run_id: run for run in runs}
    for run in runs:
        if run.reference:
            assert by_id[run.reference].config.seed == run.config.seed
            assert by_id[str(run.dense)].config.seed == run.config.seed


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (("engine.jobs=2",), True),
        (("engine.timeout=99",), True),
        (("engine.threads=2",), False),
        (("training.lr=0.001",), False),
        (("sparsifier.dense_share=0.4",), False),
        (("data.seed=8",), False),
    ],
)
def test_only_what_decides_the_numbers_makes_another_run(
    plugins: Plugins, tmp_path: Path, overrides: tuple[str, ...], same: bool
) -> None:
    def run_id(*given: str) -> str:
        return plan(plugins, tmp_path, "random", budget="0.5", overrides=given)[-1].run_id

    assert (run_id() == run_id(*overrides)) is same


def test_a_helper_of_a_plugin_counts_and_a_comment_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib" / "my_sparsifiers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "mine.py").write_text(SOURCE.format(helper="my_sparsifiers.helper"), encoding="utf-8")
    helper = package / "helper.py"
    helper.write_text("SHARE = 0.5\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    cls = load_plugins(["my_sparsifiers.mine"]).get("sparsifier", "mine").cls

    def digest() -> str:
        sources._file_digest.cache_clear()
        return sources.class_digest(cls)

    first = digest()
    helper.write_text("# half of it\nSHARE = 0.5\n", encoding="utf-8")
    assert digest() == first
    helper.write_text("SHARE = 0.6\n", encoding="utf-8")
    assert digest() != first


def test_force_makes_again_what_was_asked_for_and_nothing_that_it_needs(plugins: Plugins, tmp_path: Path) -> None:
    found = experiment(
        plugins, sparsifiers=["random"], budget="matched", seeds=[0], choices={"preset": "smoke"}, overrides=()
    )
    forced = make_plan(plugins, [found], Store(tmp_path), tmp_path, Command((), ()), force=True)
    assert [(run.config.sparsifier.name, run.again) for run in forced] == [
        ("dense", False),
        ("meta_sparsity", False),
        ("random", True),
    ]
    assert [run.run_id for run in forced] == [run.run_id for run in plan(plugins, tmp_path, "random")]
